import * as v from 'valibot';
import { about, ignored, integer, label, oneOf, portNumber, resource, text } from './fields.js';

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

/** Kubernetes `ObjectReference`. */
const targetRef = v.strictObject({
  kind: about(v.optional(text(0, 253)), 'Kind of the object, such as Pod.'),
  namespace: about(v.optional(text(0, 63)), 'Its namespace. Default: that of the slice.'),
  name: about(v.optional(text(0, 253)), 'Its name.'),
  uid: about(v.optional(text(0, 253)), 'Its UID, in place of all of these.'),
  apiVersion: ignored,
  fieldPath: ignored,
  resourceVersion: ignored,
});

const endpoint = v.strictObject({
  addresses: about(
    v.pipe(v.array(text(1, 253)), v.minLength(1, 'must have at least one address')),
    'The first is used: they are fungible.',
  ),
  conditions: v.optional(v.nullable(conditions)),
  zone: about(v.optional(v.nullable(text(1, 253))), 'Zone in which the endpoint runs.'),
  targetRef: about(
    v.optional(v.nullable(targetRef)),
    'The object behind it: endpoints of one object in an IPv4 and an IPv6 slice are one with two addresses (gRFC A61).',
  ),
  weight: about(
    v.optional(integer(1, 65_535), 1),
    "Ours, not Kubernetes': share of the traffic relative to the other endpoints. Default 1.",
  ),
  hashKey: about(
    v.optional(text(1, 256)),
    "Ours, not Kubernetes': what RING_HASH and MAGLEV hash in place of the address (gRFC A76, Envoy `hash_key`).",
  ),
  deprecatedTopology: ignored,
  hints: ignored,
  hostname: ignored,
  nodeName: ignored,
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
