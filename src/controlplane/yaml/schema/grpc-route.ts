import * as v from 'valibot';
import { about, headerName, label, later, oneOf, resource, text } from './fields.js';
import { backendRef, grpcFilter, grpcRetry, hostnames, parentRefs, timeouts, upTo16 } from './route.js';
import { sessionPersistence } from './session.js';

const method = v.strictObject({
  type: about(
    v.optional(oneOf(['Exact', 'RegularExpression']), 'Exact'),
    'RegularExpression is RE2 and covers the whole name. Default Exact.',
  ),
  service: about(v.optional(text(0, 1024)), 'Full name of the gRPC service: `package.Service`. Default: every one.'),
  method: about(v.optional(text(0, 1024)), 'Name of the method. Default: every one.'),
});

const header = v.strictObject({
  type: about(
    v.optional(oneOf(['Exact', 'RegularExpression']), 'Exact'),
    'RegularExpression is RE2 and covers the whole value. Default Exact.',
  ),
  name: about(headerName, 'Key of the metadata, in any case; of several entries for one name the first counts.'),
  value: about(text(1, 4096), 'Value, or expression.'),
});

const match = v.strictObject({
  method: v.optional(method),
  headers: about(v.optional(upTo16(header)), 'All must match.'),
});

const rule = v.strictObject({
  name: about(v.optional(label), 'Name of the rule, unique in the route: for logs and metrics.'),
  matches: about(
    v.optional(v.pipe(v.array(match), v.maxLength(64, 'must have at most 64 entries')), [{}]),
    'One of them must match. Default: every call.',
  ),
  filters: about(v.optional(upTo16(grpcFilter), []), 'What is changed in metadata.'),
  backendRefs: about(v.optional(upTo16(backendRef(grpcFilter)), []), 'Where calls go, in proportion to the weights.'),
  timeouts: about(
    v.optional(timeouts),
    'Not in the Gateway API yet (GEP-3139); as in HTTPRoute. `request` caps the deadline that the caller sets.',
  ),
  retry: about(v.optional(grpcRetry), 'Not in the Gateway API yet; as in HTTPRoute (GEP-1731), with gRPC statuses.'),
  sessionPersistence: about(
    v.optional(sessionPersistence),
    'A caller stays with the endpoint that it was sent to first (GEP-1619). Default: what the TrafficPolicy of the backend says.',
  ),
});

const spec = v.strictObject({
  parentRefs,
  hostnames,
  rules: about(v.optional(upTo16(rule), [{}]), 'Precedence is by match, not by order (Gateway API, GRPCRouteRule).'),
  useDefaultGateways: later,
});

/** Gateway API `GRPCRoute`, attached to Services. */
export const grpcRoute = resource('GRPCRoute', ['gateway.networking.k8s.io/v1'], { spec });

export type GrpcRouteSpec = v.InferOutput<typeof spec>;
export type GrpcRule = v.InferOutput<typeof rule>;
export type GrpcMatch = v.InferOutput<typeof match>;
