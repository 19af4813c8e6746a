import * as v from 'valibot';
import { GRPC_STATUS_NAMES } from '../../../core/grpc-status.js';
import { about, duration, headerName, integer, label, listOf, oneOf, portNumber, subdomain, text } from './fields.js';

const service = v.strictObject({
  group: about(v.optional(v.string(), ''), 'Group of the other; empty for a Service.'),
  kind: about(v.optional(v.string(), 'Service'), 'Kind of the other: Service.'),
  namespace: about(
    v.optional(label),
    'Namespace of the Service. Default: that of the policy. Another one has to permit it with a ReferenceGrant.',
  ),
  name: about(subdomain, 'Name of the Service. It is called once, and its own fallbacks do not count.'),
  port: about(v.optional(portNumber), 'Port of the Service. Default: 80 if it has that, else its first.'),
});

const stale = v.strictObject({
  maxAge: about(v.optional(duration, '1m'), 'How old a reply may be, 1ms to 30 days. Default 1m.'),
  maxEntries: about(v.optional(integer(1, 1_000_000), 100), 'Replies that are kept. Default 100.'),
  maxEntryBytes: about(v.optional(integer(1, 67_108_864), 65_536), 'Longer ones are not kept. Default 64 KiB.'),
});

const header = v.strictObject({
  name: about(headerName, 'Name of the header.'),
  value: about(text(0, 4096), 'Value.'),
});

const fixed = v.strictObject({
  status: about(v.optional(integer(200, 599), 200), 'HTTP status. Default 200.'),
  headers: about(v.optional(listOf(header, 1, 64)), 'Headers.'),
  body: about(v.optional(text(0, 65_536)), 'Body, as text. Default: none.'),
  json: about(
    v.optional(v.any()),
    'Body, as JSON, with `content-type: application/json` unless `headers` say another.',
  ),
  bodyBase64: about(v.optional(text(0, 90_000)), 'Body, as bytes in base64: the message of a gRPC call.'),
  grpcStatus: about(
    v.optional(oneOf(GRPC_STATUS_NAMES), 'OK'),
    'For gRPC calls, in place of `status`; with OK the body is the message. Default OK.',
  ),
});

const application = v.strictObject({
  name: about(text(1, 256), 'Name under which the application has given it (`fallbacks` of `meshClient`).'),
});

/** What stands in for a reply, which neither Envoy nor the Gateway API has. Of these fields one is set. */
export const fallback = v.strictObject({
  service: about(v.optional(service), 'Another Service.'),
  stale: about(
    v.optional(stale),
    'The last good reply to the same GET or HEAD, or to the same idempotent gRPC message (RFC 5861).',
  ),
  static: about(v.optional(fixed), 'A reply that is always the same.'),
  function: about(v.optional(application), 'A function of the application.'),
});

export type FallbackSpec = v.InferOutput<typeof fallback>;
