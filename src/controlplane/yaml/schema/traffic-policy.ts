import * as v from 'valibot';
import { about, duration, integer, oneOf, resource, subdomain } from './fields.js';

const targetRef = v.strictObject({
  group: about(v.optional(v.string(), ''), 'Group of the target; empty for a Service.'),
  kind: about(v.optional(v.literal('Service', 'must be "Service"'), 'Service'), 'Kind of the target: Service.'),
  name: about(subdomain, 'Name of a Service in the namespace of the policy.'),
});

const loadBalancer = v.strictObject({
  simple: about(
    oneOf(['PEAK_EWMA', 'LEAST_REQUEST', 'ROUND_ROBIN', 'RANDOM']),
    'How an endpoint is chosen (Istio `loadBalancer.simple`). Default PEAK_EWMA: the quicker of two, by latency and load.',
  ),
  choiceCount: about(
    v.optional(integer(2, 10)),
    'LEAST_REQUEST: endpoints compared for each call (Envoy `choice_count`, gRFC A48). Default 2.',
  ),
  decay: about(
    v.optional(duration),
    'PEAK_EWMA: time in which an old latency loses its weight (Finagle, Linkerd). Default 10s.',
  ),
  defaultRtt: about(
    v.optional(duration),
    'PEAK_EWMA: latency assumed of an endpoint that has not answered yet (Linkerd). Default 30ms.',
  ),
});

const UINT32 = 4_294_967_295;

const connectionPool = v.strictObject({
  maxConnections: about(
    v.optional(integer(1, UINT32)),
    'Connections from one client to the Service (Envoy `max_connections`). Default 1024.',
  ),
  maxPendingRequests: about(
    v.optional(integer(0, UINT32)),
    'Calls of one client that wait for a connection (Envoy `max_pending_requests`). Default 1024.',
  ),
  maxRequests: about(
    v.optional(integer(0, UINT32)),
    'Calls of one client under way at once (Envoy `max_requests`). Default 1024.',
  ),
  maxRetries: about(
    v.optional(integer(0, UINT32)),
    'Retries of one client under way at once (Envoy `max_retries`). Default: no such limit; the retry budget decides.',
  ),
});

const budget = v.strictObject({
  percent: about(v.optional(integer(0, 100), 20), 'Retries as a share of calls, in percent (GEP-3388). Default 20.'),
  interval: about(
    v.optional(duration, '10s'),
    "How long a call counts, 1s to 60s (GEP-3388 has up to 1h; Finagle's budget ends at 60s). Default 10s.",
  ),
});

const minRetryRate = v.strictObject({
  count: about(
    v.optional(integer(0, 1_000_000), 10),
    'Retries that are always allowed in each interval (GEP-3388). Default 10.',
  ),
  interval: about(v.optional(duration, '1s'), 'Default 1s.'),
});

const retryConstraint = v.strictObject({
  budget: v.optional(budget, {}),
  minRetryRate: v.optional(minRetryRate, {}),
});

const spec = v.strictObject({
  targetRefs: about(
    v.pipe(
      v.array(targetRef),
      v.minLength(1, 'must name at least one Service'),
      v.maxLength(16, 'must have at most 16 entries'),
    ),
    'Services that the policy is for.',
  ),
  loadBalancer: v.optional(loadBalancer),
  connectionPool: about(
    v.optional(connectionPool),
    'Limits of one client towards the Service; beyond them calls fail at once.',
  ),
  retryConstraint: about(
    v.optional(retryConstraint),
    "Retry budget, as the Gateway API's XBackendTrafficPolicy (GEP-3388).",
  ),
  connectTimeout: about(
    v.optional(duration),
    'Limit for TCP and TLS to connect (Envoy `connect_timeout`). Default 1s (Linkerd).',
  ),
  idleTimeout: about(
    v.optional(duration),
    'A connection without a call is closed after this (Envoy `idle_timeout`). Default 5m.',
  ),
});

/** How callers treat the endpoints of a Service. */
export const trafficPolicy = resource('TrafficPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type TrafficPolicySpec = v.InferOutput<typeof spec>;
