import * as v from 'valibot';
import {
  about,
  duration,
  headerName,
  integer,
  label,
  listOf,
  oneOf,
  pattern,
  portNumber,
  resource,
  subdomain,
} from './fields.js';
import { serviceTarget } from './policy-target.js';

const service = v.strictObject({
  name: about(subdomain, 'Name of the Service that is asked.'),
  namespace: about(
    v.optional(label),
    'Namespace of the Service. Default: that of the policy. Another one has to permit it with a ReferenceGrant.',
  ),
  port: about(v.optional(portNumber), 'Port of the Service. Default: 80 if it has that, else its first.'),
});

const headers = listOf(headerName, 1, 64);

const http = v.strictObject({
  pathPrefix: about(
    v.optional(pattern(/^\/[^?#\s]*$/, 'a path that begins with "/"')),
    'Stands before the path of the request. Default: nothing.',
  ),
  includeRequestHeaders: about(
    v.optional(headers),
    'Headers of the request that the service is shown, besides Authorization (Istio `includeRequestHeadersInCheck`).',
  ),
  headersToUpstream: about(
    v.optional(headers),
    'Headers of its answer that the application is handed (Istio `headersToUpstreamOnAllow`).',
  ),
  headersToDownstream: about(
    v.optional(headers),
    'Headers of a refusal that the client gets, besides WWW-Authenticate and Location. Default: all (Envoy).',
  ),
  headersToDownstreamOnAllow: about(v.optional(headers), 'Headers of its answer that the client gets with the reply.'),
});

const body = v.strictObject({
  maxBytes: about(integer(1, 16_777_216), 'So much of the body is shown.'),
  allowPartial: about(v.optional(v.boolean(), false), 'A longer body is shown in part. Default false: 413.'),
  asBytes: about(v.optional(v.boolean(), false), 'As `raw_body` (gRPC), for bodies that are no text. Default false.'),
});

const spec = v.strictObject({
  targetRefs: about(
    v.optional(listOf(serviceTarget, 1, 16)),
    'Services whose requests are asked about. Default: all of the mesh, but for the one that is asked.',
  ),
  service: about(service, 'Who is asked.'),
  protocol: about(
    v.optional(oneOf(['grpc', 'http']), 'grpc'),
    '`grpc`: `envoy.service.auth.v3.Authorization`; `http`: the request without its body, 200 lets it through. Default grpc.',
  ),
  http: about(v.optional(http), 'Of the protocol http.'),
  timeout: about(
    v.optional(duration, '200ms'),
    'A request waits for the answer at most so long, 1ms to 1m. Default 200ms (Envoy).',
  ),
  onFailure: about(
    v.optional(oneOf(['deny', 'allow']), 'deny'),
    'What becomes of requests while it does not answer. Default deny.',
  ),
  statusOnError: about(
    v.optional(v.picklist([401, 403, 429, 500, 503]), 403),
    'Status of those that are denied then: 401, 403, 429, 500 or 503. Default 403 (Envoy).',
  ),
  includeRequestBody: about(
    v.optional(body),
    'It is shown the body; of gRPC messages as they are on the wire, with their prefixes: say asBytes. Requests wait until so much has come, or all of it. Default: it is not.',
  ),
});

/** Somebody else decides who may come in (Envoy `ext_authz`, Istio's action CUSTOM). All that meet a request must let it through. */
export const externalAuthorizationPolicy = resource('ExternalAuthorizationPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type ExternalAuthorizationPolicySpec = v.InferOutput<typeof spec>;
