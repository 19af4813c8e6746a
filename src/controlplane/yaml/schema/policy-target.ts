import * as v from 'valibot';
import { about, label, listOf, oneOf, subdomain } from './fields.js';

/** A Service that a policy is for. */
export const serviceTarget = v.strictObject({
  group: about(v.optional(v.literal('', 'must be "" for a Service'), ''), 'Group of the target; empty for a Service.'),
  kind: about(v.optional(v.literal('Service', 'must be "Service"'), 'Service'), 'Kind of the target: Service.'),
  name: about(subdomain, 'Name of a Service in the namespace of the policy.'),
});

/** A Service, a route or rules of one that a policy is for. */
export const policyTarget = v.strictObject({
  group: about(
    v.optional(v.string()),
    'Group of the target: `""` for a Service, `gateway.networking.k8s.io` for a route.',
  ),
  kind: about(oneOf(['Service', 'HTTPRoute', 'GRPCRoute']), 'Kind of the target.'),
  name: about(subdomain, 'Name of a Service or route in the namespace of the policy.'),
  sectionName: about(v.optional(label), 'Of a route: name of one rule. Default: every rule.'),
});

/** What a policy of requests is for. Of all policies that meet a request everything counts; none stands in for another. */
export const requestTargets = about(
  listOf(policyTarget, 1, 16),
  'Services, routes, or rules of routes: calls to a Service by its name, and what a route matches.',
);

export const side = about(
  v.optional(oneOf(['client', 'server']), 'client'),
  'Who sees to it: `client`, the caller (or the proxy before it); `server`, the middleware of the Service itself. Default client.',
);

export type RequestTarget = v.InferOutput<typeof policyTarget>;
