import * as v from 'valibot';
import {
  about,
  duration,
  headerName,
  hostname,
  integer,
  label,
  later,
  oneOf,
  portNumber,
  subdomain,
  text,
  percent,
} from './fields.js';
import { cors } from './cors.js';

/** What HTTPRoute and GRPCRoute share (Gateway API v1). Sizes of lists are the API's own. */

export const parentRef = v.strictObject({
  group: about(v.optional(v.string()), 'Group of the parent; empty for a Service.'),
  kind: about(v.optional(v.string()), 'Kind of the parent: Service, as the mesh use of the Gateway API has it.'),
  namespace: about(v.optional(label), 'Namespace of the parent. Default: that of the route.'),
  name: about(subdomain, 'Name of the Service.'),
  sectionName: about(v.optional(text(1, 253)), 'Name of one port of the Service. Default: every port.'),
  port: about(v.optional(portNumber), 'One port of the Service. Default: every port.'),
});

export const parentRefs = about(
  v.pipe(
    v.array(parentRef),
    v.minLength(1, 'must name at least one Service'),
    v.maxLength(32, 'must have at most 32 entries'),
  ),
  'Services whose callers this route serves.',
);

export const hostnames = about(
  v.optional(v.array(v.string())),
  'Accepted and not used: a route on a Service is found by the name of the Service (GEP-1426).',
);

const headerValue = v.strictObject({
  name: about(headerName, 'Name of the header, in any case.'),
  value: about(text(0, 4096), 'Value.'),
});

const headerModifier = v.strictObject({
  set: about(
    v.optional(v.pipe(v.array(headerValue), v.maxLength(16, 'must have at most 16 entries'))),
    'Replaces the header, or adds it.',
  ),
  add: about(
    v.optional(v.pipe(v.array(headerValue), v.maxLength(16, 'must have at most 16 entries'))),
    'Adds a value to those that are there.',
  ),
  remove: about(
    v.optional(v.pipe(v.array(headerName), v.maxLength(16, 'must have at most 16 entries'))),
    'Names of headers to remove.',
  ),
});

const absolutePath = v.pipe(text(1, 1024), v.startsWith('/', 'must start with "/"'));

const pathModifier = v.strictObject({
  type: about(
    oneOf(['ReplaceFullPath', 'ReplacePrefixMatch']),
    "What is replaced: the whole path, or what the rule's PathPrefix covers.",
  ),
  replaceFullPath: about(v.optional(absolutePath), 'The new path.'),
  replacePrefixMatch: about(v.optional(text(0, 1024)), 'What takes the place of the prefix.'),
});

const urlRewrite = v.strictObject({
  hostname: about(v.optional(hostname), 'Host header that the server is shown.'),
  path: v.optional(pathModifier),
});

export const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;

const requestRedirect = v.strictObject({
  scheme: about(v.optional(oneOf(['http', 'https'])), 'Scheme of the Location. Default: that of the request.'),
  hostname: about(v.optional(hostname), 'Host of the Location. Default: that of the request.'),
  path: v.optional(pathModifier),
  port: about(
    v.optional(portNumber),
    'Port of the Location. Default: that of `scheme`, or of the request when there is no scheme.',
  ),
  statusCode: about(v.optional(v.picklist(REDIRECT_STATUSES), 302), 'HTTP status. Default 302.'),
});

const requestMirror = v.strictObject({
  backendRef: v.strictObject({
    group: about(v.optional(v.string(), ''), 'Group of the backend; empty for a Service.'),
    kind: about(v.optional(v.string(), 'Service'), 'Kind of the backend: Service.'),
    namespace: about(
      v.optional(label),
      'Namespace of the backend. Default: that of the route. Another one has to permit it with a ReferenceGrant.',
    ),
    name: about(subdomain, 'Name of the Service that gets copies of requests; its replies are thrown away.'),
    port: about(v.optional(portNumber), 'Port of the Service. Default: 80 if it has that, else its first.'),
  }),
  percent: about(v.optional(percent), 'Share of the requests that are copied, in percent. Default: all.'),
  fraction: about(
    v.optional(
      v.strictObject({
        numerator: about(integer(0, 2_147_483_647), 'At most the denominator.'),
        denominator: about(v.optional(integer(1, 2_147_483_647), 100), 'Default 100.'),
      }),
    ),
    'The same as a fraction, in place of `percent`.',
  ),
});

export const httpFilter = v.strictObject({
  type: about(
    oneOf([
      'RequestHeaderModifier',
      'ResponseHeaderModifier',
      'URLRewrite',
      'RequestRedirect',
      'RequestMirror',
      'CORS',
    ]),
    'Which of the fields below is set.',
  ),
  requestHeaderModifier: v.optional(headerModifier),
  responseHeaderModifier: v.optional(headerModifier),
  urlRewrite: v.optional(urlRewrite),
  requestRedirect: v.optional(requestRedirect),
  requestMirror: v.optional(requestMirror),
  cors: v.optional(cors),
  extensionRef: later,
  externalAuth: later,
});

export const grpcFilter = v.strictObject({
  type: about(
    oneOf(['RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestMirror']),
    'Which of the fields below is set.',
  ),
  requestHeaderModifier: v.optional(headerModifier),
  responseHeaderModifier: v.optional(headerModifier),
  requestMirror: v.optional(requestMirror),
  extensionRef: later,
});

/** A list of at most 16, as most of the API's are. */
export const upTo16 = <S extends v.GenericSchema>(item: S) =>
  v.pipe(v.array(item), v.maxLength(16, 'must have at most 16 entries'));

/** A backend with the filters that its kind of route allows. */
export const backendRef = <F extends v.GenericSchema>(filter: F) =>
  v.strictObject({
    group: about(v.optional(v.string(), ''), 'Group of the backend; empty for a Service.'),
    kind: about(v.optional(v.string(), 'Service'), 'Kind of the backend: Service.'),
    namespace: about(
      v.optional(label),
      'Namespace of the backend. Default: that of the route. Another one has to permit it with a ReferenceGrant.',
    ),
    name: about(subdomain, 'Name of the Service.'),
    port: about(v.optional(portNumber), 'Port of the Service. Default: 80 if it has that, else its first.'),
    weight: about(
      v.optional(integer(0, 1_000_000), 1),
      'Share of the traffic relative to the other backends. Default 1.',
    ),
    filters: about(v.optional(upTo16(filter)), 'Applied only when this backend is chosen.'),
  });

export const timeouts = v.strictObject({
  request: about(
    v.optional(duration),
    'Limit of the whole call with its retries (GEP-1742). 0s: none. Default: 15s to the head of an HTTP reply, none for gRPC.',
  ),
  backendRequest: about(
    v.optional(duration),
    'Limit of each attempt (GEP-1742). 0s: none. Default: none but that of the call.',
  ),
});

const attempts = about(
  v.optional(integer(0, 100)),
  'Repetitions after the first attempt (GEP-1731); 0 forbids them. Default 1. gRPC clients other than ours stop at 4.',
);
const backoff = about(
  v.optional(duration),
  'Base of the exponential backoff, with full jitter, up to ten times as much (GEP-1731). Default 25ms.',
);

export const httpRetry = v.strictObject({
  codes: about(
    v.optional(v.array(integer(400, 599))),
    'HTTP statuses that are tried again, for every method (GEP-1731). Connections that fail and requests that were not processed are always tried again.',
  ),
  attempts,
  backoff,
});

export const GRPC_RETRY_CODES = [
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'INTERNAL',
  'RESOURCE_EXHAUSTED',
  'UNAVAILABLE',
] as const;

export const grpcRetry = v.strictObject({
  codes: about(
    v.optional(v.array(oneOf(GRPC_RETRY_CODES)), ['UNAVAILABLE']),
    'gRPC statuses that are tried again (gRFC A44). Default UNAVAILABLE.',
  ),
  attempts,
  backoff,
});

export type ParentRef = v.InferOutput<typeof parentRef>;
export type HttpFilter = v.InferOutput<typeof httpFilter>;
export type HeaderModifier = v.InferOutput<typeof headerModifier>;
export type PathModifier = v.InferOutput<typeof pathModifier>;
export type UrlRewrite = v.InferOutput<typeof urlRewrite>;
export type RequestRedirect = v.InferOutput<typeof requestRedirect>;
export type RequestMirror = v.InferOutput<typeof requestMirror>;
export type Timeouts = v.InferOutput<typeof timeouts>;
