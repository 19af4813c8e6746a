import * as v from 'valibot';
import { about, headerName, label, later, oneOf, pattern, resource, text } from './fields.js';
import { backendRef, hostnames, httpFilter, httpRetry, parentRefs, timeouts, upTo16 } from './route.js';
import { sessionPersistence } from './session.js';

export const HTTP_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

export const path = v.strictObject({
  type: about(
    v.optional(oneOf(['Exact', 'PathPrefix', 'RegularExpression']), 'PathPrefix'),
    'PathPrefix compares whole segments: /a matches /a and /a/b, not /ab. RegularExpression is RE2 and covers the whole path. Default PathPrefix.',
  ),
  value: about(v.optional(text(1, 1024), '/'), 'Path without query. Default "/".'),
});

const claimName = pattern(
  /^@request\.auth\.claims(?:(?:\.[^.[\]]+)+|(?:\[[^[\]]+\])+)$/,
  'the name of a claim: @request.auth.claims.<claim>',
);

const header = v.strictObject({
  type: about(
    v.optional(oneOf(['Exact', 'RegularExpression']), 'Exact'),
    'RegularExpression is RE2 and covers the whole value. Default Exact.',
  ),
  name: about(
    v.union([headerName, claimName], 'must be the name of an HTTP header, or @request.auth.claims.<claim>'),
    'Name of the header, in any case; of several entries for one name the first counts. Or `@request.auth.claims.<claim>`, of a verified token (Istio).',
  ),
  value: about(text(1, 4096), 'Value, or expression.'),
});

export const queryParam = v.strictObject({
  type: about(
    v.optional(oneOf(['Exact', 'RegularExpression']), 'Exact'),
    'RegularExpression is RE2 and covers the whole value. Default Exact.',
  ),
  name: about(text(1, 256), 'Name of the parameter, case-sensitive; of several entries for one name the first counts.'),
  value: about(text(1, 1024), 'Value, or expression.'),
});

const match = v.strictObject({
  path: about(v.optional(path, {}), 'Default: every path.'),
  headers: about(v.optional(upTo16(header)), 'All must match.'),
  queryParams: about(v.optional(upTo16(queryParam)), 'All must match.'),
  method: about(v.optional(oneOf(HTTP_METHODS)), 'HTTP method. Default: every one.'),
});

const rule = v.strictObject({
  name: about(v.optional(label), 'Name of the rule, unique in the route: for logs and metrics.'),
  matches: about(
    v.optional(v.pipe(v.array(match), v.maxLength(64, 'must have at most 64 entries')), [{}]),
    'One of them must match. Default: every request.',
  ),
  filters: about(v.optional(upTo16(httpFilter), []), 'What is changed in requests and replies.'),
  backendRefs: about(
    v.optional(upTo16(backendRef(httpFilter)), []),
    'Where requests go, in proportion to the weights.',
  ),
  timeouts: v.optional(timeouts),
  retry: v.optional(httpRetry),
  sessionPersistence: about(
    v.optional(sessionPersistence),
    'A caller stays with the endpoint that it was sent to first (GEP-1619). Default: what the TrafficPolicy of the backend says.',
  ),
});

const spec = v.strictObject({
  parentRefs,
  hostnames,
  rules: about(
    v.optional(v.pipe(upTo16(rule), v.minLength(1, 'must have at least one entry')), [{}]),
    'Precedence is by match, not by order (Gateway API, HTTPRouteRule). Default: one rule that matches every request.',
  ),
  useDefaultGateways: later,
});

/** Gateway API `HTTPRoute`, attached to Services. */
export const httpRoute = resource('HTTPRoute', ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1beta1'], {
  spec,
});

export type HttpRouteSpec = v.InferOutput<typeof spec>;
export type HttpRule = v.InferOutput<typeof rule>;
export type HttpMatch = v.InferOutput<typeof match>;
