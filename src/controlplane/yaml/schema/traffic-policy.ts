import * as v from 'valibot';
import {
  about,
  count,
  duration,
  integer,
  label,
  listOf,
  requiredDuration,
  resource,
  subdomain,
  text,
} from './fields.js';
import { healthCheck } from './health-check.js';
import { loadBalancer } from './load-balancer.js';
import { outlierDetection } from './outlier-detection.js';
import { sessionPersistence } from './session.js';

const targetRef = v.strictObject({
  group: about(v.optional(v.string(), ''), 'Group of the target; empty for a Service.'),
  kind: about(v.optional(v.literal('Service', 'must be "Service"'), 'Service'), 'Kind of the target: Service.'),
  name: about(subdomain, 'Name of a Service in the namespace of the policy.'),
});

const connectionPool = v.strictObject({
  maxConnections: about(
    v.optional(count(1)),
    'Connections from one client to the Service (Envoy `max_connections`). Default 1024.',
  ),
  maxPendingRequests: about(
    v.optional(count(0)),
    'Calls of one client that wait for a connection (Envoy `max_pending_requests`). Default 1024.',
  ),
  maxRequests: about(
    v.optional(count(0)),
    'Calls of one client under way at once (Envoy `max_requests`). Default 1024.',
  ),
  maxRetries: about(
    v.optional(count(0)),
    'Retries of one client under way at once (Envoy `max_retries`). Default: no such limit; the retry budget decides.',
  ),
  warmConnections: about(
    v.optional(integer(0, 100)),
    'Connections opened to each endpoint before there are calls, and opened again when they end. Default 0.',
  ),
  maxConnectionDuration: about(
    v.optional(duration),
    'A connection takes no new calls after this long (Istio, Envoy `max_connection_duration`). Default: no limit.',
  ),
  maxRequestsPerConnection: about(
    v.optional(count(1)),
    'Nor after so many calls (Istio, Envoy `max_requests_per_connection`). Default: no limit.',
  ),
  http2Keepalive: about(
    v.optional(
      v.strictObject({
        interval: requiredDuration('Time between PINGs, at least 1ms.'),
        timeout: about(v.optional(duration, '20s'), 'How long to wait for the answer (gRPC has 20s). Default 20s.'),
      }),
    ),
    'PINGs that find dead connections, where endpoints speak HTTP/2 by `appProtocol` (Envoy `connection_keepalive`). Default: none.',
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

const subset = v.strictObject({
  name: about(label, 'Name of the subset, unique in the policy.'),
  labels: about(v.record(text(1, 256), text(0, 256)), 'Labels that its endpoints have, all of them.'),
});

const healthWatch = v.strictObject({
  service: about(v.optional(text(0, 1024), ''), 'gRPC service to ask for. Default: the server as a whole.'),
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
  subsets: about(
    v.optional(listOf(subset, 1, 64)),
    'Endpoints by label, for routes that ask for them (Istio `subsets`). A route that asks for labels that no endpoint has fails.',
  ),
  outlierDetection: about(
    v.optional(outlierDetection),
    'Endpoints that fail are left alone for a while (Envoy, gRFC A50). `{}` turns it on with the defaults. Default: off.',
  ),
  healthChecks: about(
    v.optional(listOf(healthCheck, 1, 8)),
    'Each client asks each endpoint by itself whether it is well (Envoy `health_checks`). Default: none.',
  ),
  healthWatch: about(
    v.optional(healthWatch),
    'gRPC endpoints tell over their connection whether they are well (gRFC A17). Default: not asked.',
  ),
  sessionPersistence: about(
    v.optional(sessionPersistence),
    'A caller stays with the endpoint that it was sent to first (GEP-1619, as XBackendTrafficPolicy has it); what a rule of a route says comes before it.',
  ),
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

export type ConnectionPoolSpec = v.InferOutput<typeof connectionPool>;
export type SubsetSpec = v.InferOutput<typeof subset>;
