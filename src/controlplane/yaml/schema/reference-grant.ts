import * as v from 'valibot';
import { about, label, listOf, pattern, resource, subdomain } from './fields.js';

/** Sizes and forms are the API's own. */
const group = pattern(
  /^$|^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/,
  'a group of APIs, such as gateway.networking.k8s.io, or "" for that of Service',
);
const kind = pattern(/^[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$/, 'a kind, such as HTTPRoute');

const from = v.strictObject({
  group: about(
    group,
    'Group of what refers: `gateway.networking.k8s.io` for routes, `inmesh.dev` for a TrafficPolicy with a fallback, or a RateLimitPolicy that asks a rate limit service.',
  ),
  kind: about(
    kind,
    'Kind of what refers: HTTPRoute, GRPCRoute, TrafficPolicy, RateLimitPolicy. Another one permits nothing here.',
  ),
  namespace: about(label, 'Namespace of what refers.'),
});

const to = v.strictObject({
  group: about(group, 'Group of what is referred to: `""` for a Service.'),
  kind: about(kind, 'Kind of what is referred to: Service. Another one permits nothing here.'),
  name: about(v.optional(subdomain), 'Name of the Service. Default: every one in the namespace of the grant.'),
});

const spec = v.strictObject({
  from: about(listOf(from, 1, 16), 'Who may refer; any of the entries.'),
  to: about(listOf(to, 1, 16), 'To what; any of the entries.'),
});

/** Lets resources of other namespaces refer to Services of its own. */
export const referenceGrant = resource(
  'ReferenceGrant',
  ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1beta1'],
  { spec },
);

export type ReferenceGrantSpec = v.InferOutput<typeof spec>;
