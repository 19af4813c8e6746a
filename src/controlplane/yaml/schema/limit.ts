import * as v from 'valibot';
import { PERIOD_PATTERN, parseDuration } from '../duration.js';
import {
  about,
  count,
  duration,
  headerName,
  integer,
  label,
  listOf,
  oneOf,
  pattern,
  portNumber,
  subdomain,
  text,
} from './fields.js';
import { headerMatch } from './header-match.js';
import { path, queryParam, HTTP_METHODS } from './http-route.js';

/** What RateLimitPolicy and QuotaPolicy share. */

const CALENDAR = ['minute', 'hour', 'day', 'week', 'month', 'year'] as const;
export type CalendarUnit = (typeof CALENDAR)[number];
const isCalendarUnit = (text: string): text is CalendarUnit => (CALENDAR as readonly string[]).includes(text);

export const limit = v.strictObject({
  requests: about(count(0), 'So many requests (Envoy Gateway `limit.requests`); 0 lets none through.'),
  per: v.pipe(
    pattern(PERIOD_PATTERN, 'a duration such as 10s or 1m, or one of minute, hour, day, week, month, year'),
    v.description(
      'In so much time: a duration, or `minute`, `hour`, `day`, `week` (from Monday), `month`, `year` of the calendar.',
    ),
    v.transform((value): number | CalendarUnit => (isCalendarUnit(value) ? value : parseDuration(value))),
  ),
  algorithm: about(
    v.optional(oneOf(['tokenBucket', 'fixedWindow', 'slidingWindow', 'slidingLog'])),
    'How a duration is counted: `tokenBucket` evenly (Envoy), `fixedWindow` in windows since the epoch (envoyproxy/ratelimit), `slidingWindow` with the share of the window before, `slidingLog` exactly. Default tokenBucket.',
  ),
  burst: about(
    v.optional(count(1)),
    'For tokenBucket: so many at once after a pause (Envoy `max_tokens`). Default: `requests`.',
  ),
  timeZone: about(v.optional(text(1, 64)), 'For the calendar: an IANA time zone such as Europe/Berlin. Default UTC.'),
});

const nothing = v.strictObject({});
const bits = (max: number, description: string) => about(v.optional(integer(0, max)), description);

/** The kinds of keys; of these fields one is set. */
const KINDS = {
  header: about(v.optional(headerName), 'Value of this request header, or gRPC metadata (Envoy `request_headers`).'),
  query: about(v.optional(text(1, 256)), 'Value of this query parameter, as written (Envoy `query_parameters`).'),
  remoteAddress: about(
    v.optional(
      v.strictObject({
        v4PrefixLength: bits(32, 'Bits of an IPv4 address that count (Envoy `v4_prefix_mask_len`). Default 32.'),
        v6PrefixLength: bits(128, 'Bits of an IPv6 address that count (Envoy `v6_prefix_mask_len`). Default 128.'),
      }),
    ),
    'Address of the peer, or of the client that trusted proxies tell of (Envoy `masked_remote_address`).',
  ),
  identity: about(v.optional(nothing), 'Verified SPIFFE ID of the caller.'),
  claim: about(
    v.optional(v.union([text(1, 256), listOf(text(1, 256), 1, 8)])),
    'A claim of the verified token: `sub`, or the way to one inside others, `[realm_access, tier]`.',
  ),
  route: about(v.optional(nothing), 'Name of the rule of the route.'),
  method: about(v.optional(nothing), 'HTTP method.'),
  path: about(v.optional(nothing), 'Path without query.'),
  host: about(v.optional(nothing), 'Host that the request names.'),
  destination: about(v.optional(nothing), 'Where the call goes (Envoy `destination_cluster`).'),
  source: about(v.optional(nothing), 'Service that the calling process is (Envoy `source_cluster`).'),
  generic: about(v.optional(text(1, 256)), 'Always this text (Envoy `generic_key`).'),
  match: about(
    v.optional(
      v.strictObject({
        value: about(text(1, 256), 'The text.'),
        headers: about(v.optional(listOf(headerMatch, 1, 16)), 'All must match.'),
        queryParams: about(v.optional(listOf(queryParam, 1, 16)), 'All must match.'),
        expect: about(v.optional(v.boolean(), true), 'false: the text where they do not all match. Default true.'),
      }),
    ),
    'A text where the request matches (Envoy `header_value_match`).',
  ),
};
export const KEY_KINDS = Object.keys(KINDS) as (keyof typeof KINDS)[];

export const limitKey = v.strictObject({
  ...KINDS,
  as: about(
    v.optional(text(1, 256)),
    'Name of this part of the key, for overrides, metrics and rate limit services. Default: the name of the header or parameter, the claim, else the kind as Envoy calls it.',
  ),
  absent: about(
    v.optional(oneOf(['empty', 'skipEntry', 'skipRule'])),
    'A request that lacks it counts with all that do (`empty`), by the other parts (`skipEntry`), or not at all (`skipRule`, as in Envoy). Default empty.',
  ),
});

/** Which requests a rule is for. */
export const limitMatch = v.strictObject({
  path: about(v.optional(path), 'Default: every path. Of a gRPC call it is `/package.Service/Method`.'),
  method: about(v.optional(oneOf(HTTP_METHODS)), 'HTTP method. Default: every one.'),
  headers: about(v.optional(listOf(headerMatch, 1, 16)), 'All must match.'),
  queryParams: about(v.optional(listOf(queryParam, 1, 16)), 'All must match.'),
});

const redis = v.strictObject({
  name: about(
    v.optional(label, 'default'),
    'One that the application has configured (`redis` of `meshClient`); `default` is also what INMESH_REDIS_URL says. Default "default".',
  ),
  urls: about(
    v.optional(listOf(pattern(/^rediss?:\/\/[^\s]{1,1000}$/, 'redis://… or rediss://…'), 1, 16)),
    'Where it is, for applications that have configured none of that name; several are the first nodes of a cluster.',
  ),
  timeout: about(v.optional(duration, '50ms'), 'A call waits for it at most so long, 1ms to 1m. Default 50ms.'),
  lease: about(
    v.optional(
      v.strictObject({
        maxPermits: about(
          integer(2, 1_000_000),
          'Taken in advance at most; never more than a fair part of what is left.',
        ),
        ttl: about(v.optional(duration, '1s'), 'What is not used after this is given up, 1ms to 1h. Default 1s.'),
      }),
    ),
    'Permits that a process takes in advance for a key that is much asked for. Default: each call asks.',
  ),
});

const rateLimitService = v.strictObject({
  name: about(subdomain, 'Name of the Service that answers.'),
  namespace: about(
    v.optional(label),
    'Namespace of the Service. Default: that of the policy. Another one has to permit it with a ReferenceGrant.',
  ),
  port: about(v.optional(portNumber), 'Port of the Service. Default: 80 if it has that, else its first.'),
  domain: about(text(1, 256), 'Domain of the descriptors, by which the service finds its limits.'),
  timeout: about(v.optional(duration, '20ms'), 'A call waits for it at most so long, 1ms to 1m. Default 20ms (Envoy).'),
});

export const limitStore = about(
  v.optional(
    v.strictObject({
      redis: about(v.optional(redis), 'Redis, shared by all that name the same.'),
      rateLimitService: about(
        v.optional(rateLimitService),
        'A rate limit service (`envoy.service.ratelimit.v3`), which knows the limits itself.',
      ),
    }),
  ),
  'Where the counts are. Default: in each process.',
);

/** Limits that stand here nobody else can know. */
export const quotaStore = about(
  v.optional(v.strictObject({ redis: about(redis, 'Redis, shared by all that name the same.') })),
  'Where the counts are. Default: in each process.',
);

export const onStoreFailure = about(
  v.optional(oneOf(['allow', 'deny', 'local'])),
  'When the store does not answer in time: let through, refuse, or count in this process until it is back. Default `local`, with a rate limit service `allow` (Envoy).',
);

export const mode = about(
  v.optional(oneOf(['enforce', 'shadow']), 'enforce'),
  '`shadow`: counted and told in the metrics, and nothing else. Default enforce.',
);

/** What a refusal looks like, and what replies say. */
export const limitReply = {
  status: about(v.optional(integer(400, 599)), 'HTTP status of a refusal. Default 429.'),
  grpcStatus: about(
    v.optional(oneOf(['RESOURCE_EXHAUSTED', 'UNAVAILABLE'])),
    'gRPC status of a refusal. Default RESOURCE_EXHAUSTED.',
  ),
  headers: about(
    v.optional(
      v.strictObject({
        xRateLimit: about(
          v.optional(oneOf(['off', 'epoch', 'seconds'])),
          '`x-ratelimit-limit`, `-remaining` and `-reset`: with the reset in seconds since 1970, or from now (Envoy `DRAFT_VERSION_03`). Default epoch.',
        ),
        standard: about(
          v.optional(v.boolean()),
          '`RateLimit-Policy` and `RateLimit` (IETF httpapi draft). Default true.',
        ),
        xEnvoyRateLimited: about(
          v.optional(v.boolean()),
          '`x-envoy-ratelimited: true` in refusals, which callers then repeat by the retry condition `envoy-ratelimited` alone (Envoy `disable_x_envoy_ratelimited_header`). Default true.',
        ),
      }),
    ),
    'What replies say of limits.',
  ),
};

export type LimitSpec = v.InferOutput<typeof limit>;
export type LimitKeySpec = v.InferOutput<typeof limitKey>;
export type LimitMatchSpec = v.InferOutput<typeof limitMatch>;
export type LimitStoreSpec = v.InferOutput<typeof limitStore>;
