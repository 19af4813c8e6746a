import * as v from 'valibot';
import { about, listOf, resource, subdomain } from './fields.js';
import { retryConstraint } from './retry-constraint.js';
import { sessionPersistence } from './session.js';

const targetRef = v.strictObject({
  group: about(v.optional(v.string(), ''), 'Group of the target; empty for a Service.'),
  kind: about(v.literal('Service', 'must be "Service"'), 'Kind of the target: Service.'),
  name: about(subdomain, 'Name of a Service in the namespace of the policy.'),
});

const spec = v.strictObject({
  targetRefs: about(listOf(targetRef, 1, 16), 'Services that the policy is for.'),
  retryConstraint: about(v.optional(retryConstraint), 'Retry budget (GEP-3388).'),
  sessionPersistence: about(
    v.optional(sessionPersistence),
    'A caller stays with the endpoint that it was sent to first (GEP-1619); what a rule of a route says comes before it.',
  ),
});

/** Gateway API `XBackendTrafficPolicy`, attached to Services. */
export const backendTrafficPolicy = resource('XBackendTrafficPolicy', ['gateway.networking.x-k8s.io/v1alpha1'], {
  spec,
});

export type BackendTrafficPolicySpec = v.InferOutput<typeof spec>;
