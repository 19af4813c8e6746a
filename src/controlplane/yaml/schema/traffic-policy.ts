import * as v from 'valibot';
import { breaker } from './breaker.js';
import { connectionPool } from './connection-pool.js';
import { fallback } from './fallback.js';
import { about, duration, label, listOf, resource, subdomain, text } from './fields.js';
import { healthCheck } from './health-check.js';
import { loadBalancer } from './load-balancer.js';
import { outlierDetection } from './outlier-detection.js';
import { retryConstraint } from './retry-constraint.js';
import { strictSessionPersistence } from './session.js';
import { trafficTls } from './traffic-tls.js';

const targetRef = v.strictObject({
  group: about(v.optional(v.string(), ''), 'Group of the target; empty for a Service.'),
  kind: about(v.optional(v.literal('Service', 'must be "Service"'), 'Service'), 'Kind of the target: Service.'),
  name: about(subdomain, 'Name of a Service in the namespace of the policy.'),
});

const subset = v.strictObject({
  name: about(label, 'Name of the subset, unique in the policy.'),
  labels: about(v.record(text(1, 256), text(0, 256)), 'Labels that its endpoints have, all of them.'),
  fallbackKeys: about(
    v.optional(listOf(text(1, 256), 1, 16)),
    'Some of these names: by them alone it is asked again when no endpoint has all of the labels (Envoy `KEYS_SUBSET`). Default: the call fails.',
  ),
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
    v.optional(strictSessionPersistence),
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
  breaker: about(
    v.optional(breaker),
    'While too many calls to the Service fail, calls fail at once, or take the fallback (Linkerd, Finagle). `{}` turns it on with the defaults. Default: none.',
  ),
  fallback: about(
    v.optional(listOf(fallback, 1, 16)),
    'What answers when the Service cannot: the breaker is open, retries are spent, or no endpoint is left. The first that has an answer gives it. Default: an error at once.',
  ),
  tls: about(
    v.optional(trafficTls),
    'TLS of callers to the Service, over what mTLS in its AuthenticationPolicy or the MeshConfig asks of them. Default: as these say.',
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

export type SubsetSpec = v.InferOutput<typeof subset>;
