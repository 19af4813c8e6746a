import * as v from 'valibot';
import { about, ignored, label, oneOf, portNumber, resource, text } from './fields.js';

const conditions = v.strictObject({
  ready: about(
    v.optional(v.nullable(v.boolean())),
    'Takes calls. Default true, as Kubernetes says to read its absence.',
  ),
  serving: about(
    v.optional(v.nullable(v.boolean())),
    'As `ready`, but true also while terminating. Default: the value of `ready`.',
  ),
  terminating: about(
    v.optional(v.nullable(v.boolean())),
    'Shutting down: used only while nothing else is ready. Default false.',
  ),
});

const endpoint = v.strictObject({
  addresses: about(
    v.pipe(v.array(text(1, 253)), v.minLength(1, 'must have at least one address')),
    'The first is used: they are fungible.',
  ),
  conditions: v.optional(v.nullable(conditions)),
  zone: about(v.optional(v.nullable(text(1, 253))), 'Zone in which the endpoint runs.'),
  deprecatedTopology: ignored,
  hints: ignored,
  hostname: ignored,
  nodeName: ignored,
  targetRef: ignored,
});

const port = v.strictObject({
  name: about(
    v.optional(v.nullable(v.union([v.literal(''), label]))),
    'Name of the port of the Service that this one is for.',
  ),
  port: about(v.optional(v.nullable(portNumber)), 'Port of the endpoints.'),
  protocol: about(v.optional(v.nullable(oneOf(['TCP', 'UDP', 'SCTP']))), 'Only TCP is served. Default TCP.'),
  appProtocol: ignored,
});

/** Kubernetes `EndpointSlice`; belongs to the Service that its label `kubernetes.io/service-name` names. */
export const endpointSlice = resource('EndpointSlice', ['discovery.k8s.io/v1'], {
  addressType: about(oneOf(['IPv4', 'IPv6', 'FQDN']), 'What the addresses are.'),
  endpoints: v.optional(v.nullable(v.array(endpoint))),
  ports: v.optional(v.nullable(v.array(port))),
});

export type SliceSpec = Pick<v.InferOutput<typeof endpointSlice>, 'addressType' | 'endpoints' | 'ports'>;
export type SlicePort = v.InferOutput<typeof port>;
export type SliceEndpoint = v.InferOutput<typeof endpoint>;
