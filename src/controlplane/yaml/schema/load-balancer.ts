import * as v from 'valibot';
import {
  about,
  decimal,
  duration,
  headerName,
  integer,
  listOf,
  oneOf,
  pattern,
  percent,
  requiredDuration,
  text,
} from './fields.js';
import { localityLbSetting } from './locality.js';

/** How an endpoint is chosen: Istio's `loadBalancer`, with Envoy's names where Istio has none. */

export const BALANCERS = [
  'PEAK_EWMA',
  'LEAST_REQUEST',
  'ROUND_ROBIN',
  'RANDOM',
  'WEIGHTED_ROUND_ROBIN',
  'PICK_FIRST',
  'RING_HASH',
  'MAGLEV',
] as const;

const weightedRoundRobin = v.strictObject({
  enableOobLoadReport: about(
    v.optional(v.boolean(), false),
    'Loads come on a stream of their own, not with the replies (ORCA, gRFC A51). Default false.',
  ),
  oobReportingPeriod: about(v.optional(duration), 'Time between such reports. Default 10s.'),
  blackoutPeriod: about(
    v.optional(duration),
    'How long an endpoint must have reported before it is believed (gRFC A58). Default 10s.',
  ),
  weightExpirationPeriod: about(v.optional(duration), 'How long a report is believed. Default 3m.'),
  weightUpdatePeriod: about(v.optional(duration), 'Time between two looks at the weights, at least 100ms. Default 1s.'),
  errorUtilizationPenalty: about(
    v.optional(decimal(0, 1_000)),
    'What errors per call weigh against utilisation; 0 is nothing. Default 1.',
  ),
  metricNamesForComputingUtilization: about(
    v.optional(listOf(text(1, 256), 1, 16)),
    'Metrics to take for utilisation, the highest of them: `named_metrics.db`, `cpu_utilization` (gRFC A114). Default: application utilisation, else CPU.',
  ),
});

/** RFC 6265: a token. */
export const cookieName = pattern(/^[A-Za-z0-9!#$%&'*+\-.^_`|~]{1,128}$/, 'the name of a cookie');

/** "any CHAR except CTLs or ';'" - RFC 6265. */
export const cookiePath = pattern(/^\/[\x20-\x3a\x3c-\x7e]{0,255}$/, 'the path of a cookie, which starts with "/"');

const httpCookie = v.strictObject({
  name: about(cookieName, 'Name of the cookie.'),
  path: about(v.optional(cookiePath), 'Path of a cookie that the mesh makes.'),
  ttl: about(
    v.optional(duration),
    'Life of the cookie that the mesh makes for a request that has none; 0s: a session cookie. Default: none is made.',
  ),
});

/** Istio's `consistentHash`; more than one key may be given, and then all are hashed together. */
export const HASH_KEYS = {
  httpHeaderName: about(v.optional(headerName), 'Hash the value of this request header, or gRPC metadata.'),
  httpCookie: about(v.optional(httpCookie), 'Hash the value of a cookie.'),
  httpQueryParameterName: about(v.optional(text(1, 256)), 'Hash the value of this query parameter.'),
  useSourceIp: about(v.optional(v.boolean()), 'Hash who calls: each calling process keeps to its own endpoint.'),
};

const consistentHash = v.strictObject({
  ...HASH_KEYS,
  useHostnameForHashing: about(
    v.optional(v.boolean()),
    'The ring or table is made of the names of the endpoints (`hostname`), not their addresses (Envoy). Default false.',
  ),
  hashBalanceFactor: about(
    v.optional(integer(100, 1_000_000)),
    'In percent: an endpoint with more than this of the average calls under way is passed over for the next one (Envoy `hash_balance_factor`). Default: no bound.',
  ),
  ringHash: v.optional(
    v.strictObject({
      minimumRingSize: about(
        v.optional(integer(1, 8_388_608)),
        'Least number of entries of the ring (gRFC A42). Default 1024.',
      ),
      maximumRingSize: about(
        v.optional(integer(1, 8_388_608)),
        'Greatest number of entries of the ring. Default 8388608; clients of gRPC stop at 4096.',
      ),
    }),
  ),
  maglev: v.optional(
    v.strictObject({
      tableSize: about(
        v.optional(integer(2, 5_000_011)),
        'Entries of the table, a prime number (Envoy). Default 65537.',
      ),
    }),
  ),
});

const warmup = v.strictObject({
  duration: requiredDuration('Time in which an endpoint that is new gets its share little by little, 1ms to 24h.'),
  minimumPercent: about(v.optional(decimal(0.1, 100)), 'Share of its weight to begin with, in percent. Default 10.'),
  aggression: about(v.optional(decimal(0.001, 1_000)), '1 grows linearly, more is quicker at first. Default 1.'),
});

const aperture = v.strictObject({
  type: about(
    oneOf(['Deterministic', 'RandomSubsetting']),
    "Deterministic: this client's arc of a ring that all clients share (Finagle). RandomSubsetting: endpoints that rank first for this client (gRFC A68).",
  ),
  size: about(
    v.optional(integer(1, 100_000)),
    'Endpoints that each client uses: the least number of a Deterministic one. Default 12.',
  ),
  peerCount: about(
    v.optional(integer(1, 1_000_000)),
    'Deterministic: clients that share the Service, when the file is for one of them. Default: what the application says of itself.',
  ),
  peerIndex: about(v.optional(integer(0, 999_999)), 'Deterministic: the place of this client among them, from 0.'),
});

const custom = v.strictObject({
  name: about(
    text(1, 256),
    'Name under which the application has registered it (gRFC A52). Who does not know it balances by LEAST_REQUEST.',
  ),
  config: about(v.optional(v.record(v.string(), v.any())), 'Its own configuration, any mapping.'),
});

export const loadBalancer = v.strictObject({
  simple: about(
    v.optional(oneOf(BALANCERS)),
    'How an endpoint is chosen (Istio `loadBalancer.simple`). Default PEAK_EWMA: the quicker of two, by latency and load; RING_HASH beside `consistentHash`.',
  ),
  choiceCount: about(
    v.optional(integer(2, 10)),
    'LEAST_REQUEST: endpoints compared for each call (Envoy `choice_count`, gRFC A48). Default 2.',
  ),
  selectionMethod: about(
    v.optional(oneOf(['N_CHOICES', 'FULL_SCAN'])),
    'LEAST_REQUEST: FULL_SCAN looks at every endpoint for each call (Envoy). Default N_CHOICES.',
  ),
  activeRequestBias: about(
    v.optional(decimal(0, 100)),
    'LEAST_REQUEST: endpoints of different weights get weight ÷ (calls under way + 1) ^ bias (Envoy). Default: draws by weight.',
  ),
  decay: about(
    v.optional(duration),
    'PEAK_EWMA: time in which an old latency loses its weight (Finagle, Linkerd). Default 10s.',
  ),
  defaultRtt: about(
    v.optional(duration),
    'PEAK_EWMA: latency assumed of an endpoint that has not answered yet (Linkerd). Default 30ms.',
  ),
  weightedRoundRobin: about(
    v.optional(weightedRoundRobin),
    'WEIGHTED_ROUND_ROBIN: weights by the load that endpoints report of themselves (gRFC A58).',
  ),
  shuffleAddressList: about(
    v.optional(v.boolean()),
    'PICK_FIRST: each client tries the endpoints in an order of its own (gRFC A62). Default false.',
  ),
  consistentHash: about(
    v.optional(consistentHash),
    'What of a call says where it goes (Istio `consistentHash`); for RING_HASH and MAGLEV. Without a key each call goes anywhere.',
  ),
  custom: about(v.optional(custom), "A balancer of the application's own, in place of `simple`."),
  warmup: about(v.optional(warmup), 'Slow start (Istio `warmup`, Envoy `slow_start_config`). Default: none.'),
  localityLbSetting,
  panicThreshold: about(
    v.optional(percent),
    'When less than this share of the endpoints is usable, in percent, all are used (Envoy `healthy_panic_threshold`). Default: only when none is.',
  ),
  overprovisioningFactor: about(
    v.optional(integer(1, 100_000)),
    'In percent (Envoy, 140 there): a priority takes all calls as long as its usable share × this is 100 or more. Default: as long as any of it is usable (gRFC A56).',
  ),
  aperture: about(
    v.optional(aperture),
    'Only some of the endpoints for each client, so that connections do not grow as clients × endpoints. Default: all.',
  ),
});

export type LoadBalancerSpec = v.InferOutput<typeof loadBalancer>;
export type ConsistentHash = v.InferOutput<typeof consistentHash>;
/** What of `consistentHash` says what is hashed. */
export type HashKeys = Pick<ConsistentHash, keyof typeof HASH_KEYS>;
