import * as v from 'valibot';
import { about, hostname, listOf, oneOf, text } from './fields.js';

/** Istio's `ClientTLSSettings`, of which certificates in files are no part: identity comes from the mesh. */
export const trafficTls = v.strictObject({
  mode: about(
    oneOf(['mutual', 'simple', 'disabled']),
    "`mutual`: under the mesh's identity, to servers with that of the Service (Istio `ISTIO_MUTUAL`); `simple`: TLS that verifies the server by the system's roots; `disabled`: plaintext.",
  ),
  sni: about(
    v.optional(hostname),
    'Server name sent (Istio `sni`). Default: the DNS name of the Service, or of each endpoint, for `simple`; none for `mutual`.',
  ),
  subjectAltNames: about(
    v.optional(listOf(text(1, 2048), 1, 64)),
    "Names of which the server's certificate must have one: URIs (`spiffe://…`), DNS names or IP addresses. Default: the SPIFFE ID of the Service for `mutual`, the server name for `simple`.",
  ),
});

export type TrafficTls = v.InferOutput<typeof trafficTls>;
