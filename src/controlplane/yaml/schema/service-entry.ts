import * as v from 'valibot';
import { hostPattern } from './egress.js';
import { about, ignored, integer, label, later, listOf, oneOf, portNumber, resource, text } from './fields.js';
import { localityName } from './locality.js';

const port = v.strictObject({
  number: about(portNumber, 'Port that callers name.'),
  name: about(v.optional(label), 'Name of the port; needed when there are several.'),
  protocol: about(
    v.optional(oneOf(['HTTP', 'HTTPS', 'HTTP2', 'GRPC']), 'HTTP'),
    "What is spoken there. `HTTPS`: the mesh makes TLS to the host, with its name verified by the system's roots, however the application wrote the call. Default HTTP.",
  ),
  targetPort: about(v.optional(portNumber), 'Port of the endpoints. Default: `number`.'),
});

const endpoint = v.strictObject({
  address: about(text(1, 300), 'IP address, or a DNS name with `resolution: DNS`.'),
  ports: about(v.optional(v.record(v.string(), portNumber)), 'Port for each named port. Default: `targetPort`.'),
  weight: about(v.optional(integer(1, 65_535), 1), 'Share of the traffic relative to the other endpoints. Default 1.'),
  labels: about(v.optional(v.record(v.string(), v.string())), 'Labels of the endpoint.'),
  locality: about(v.optional(localityName), 'Where it runs: `region/zone/subzone`.'),
  network: ignored,
  serviceAccount: ignored,
});

const spec = v.strictObject({
  hosts: about(
    listOf(hostPattern, 1, 64),
    'Names that callers write. Wildcards (`*.example.com`) with `resolution: NONE`.',
  ),
  ports: about(
    v.optional(listOf(port, 1, 64)),
    'Ports that callers may name. Default: 80, HTTP; any, with `resolution: NONE`.',
  ),
  location: about(
    v.optional(oneOf(['MESH_EXTERNAL', 'MESH_INTERNAL']), 'MESH_EXTERNAL'),
    'Whether mTLS of the mesh is for it (MESH_INTERNAL). Default MESH_EXTERNAL.',
  ),
  resolution: about(
    v.optional(oneOf(['NONE', 'STATIC', 'DNS', 'DNS_ROUND_ROBIN']), 'NONE'),
    "`STATIC`: the endpoints; `DNS`: the endpoints' names, or without any the host's own; `NONE`: registered only, and called where its name leads, with default policies. Default NONE (Istio).",
  ),
  endpoints: about(v.optional(listOf(endpoint, 1, 1_000)), 'Where it is.'),
  addresses: ignored,
  exportTo: ignored,
  subjectAltNames: later,
  workloadSelector: later,
});

/**
 * A service outside of the mesh, with every policy that the mesh has for its own: they name it as a Service of this name (Istio's `ServiceEntry`).
 */
export const serviceEntry = resource('ServiceEntry', ['inmesh.dev/v1alpha1'], { spec });

export type ServiceEntrySpec = v.InferOutput<typeof spec>;
