import * as v from 'valibot';
import { about, headerName, label, listOf, resource, text } from './fields.js';
import { limit, limitKey, limitReply, mode, onStoreFailure, quotaStore } from './limit.js';
import { requestTargets, side } from './policy-target.js';

const planSource = v.strictObject({
  header: about(
    v.optional(headerName),
    'This request header; whoever can write it can choose a plan, so that it has to come from something trusted.',
  ),
  claim: about(
    v.optional(v.union([text(1, 256), listOf(text(1, 256), 1, 8)])),
    'A claim of the verified token: `plan`, or the way to one inside others.',
  ),
});

const plan = v.strictObject({
  name: about(label, 'Name of the plan, which the request says.'),
  limits: about(v.optional(listOf(limit, 1, 8)), 'All must let a request through.'),
  unlimited: about(v.optional(v.boolean()), 'true: no limits; uses are metered all the same.'),
});

const spec = v.strictObject({
  targetRefs: requestTargets,
  side,
  subject: about(listOf(limitKey, 1, 8), 'Whose uses count together: the customer.'),
  plan: about(v.optional(planSource), 'What says the plan. Default: all have `defaultPlan`.'),
  plans: about(listOf(plan, 1, 8), 'Classes of service.'),
  defaultPlan: about(
    v.optional(label),
    'Plan of those who name none of them. Default: they have no quota, unless there is one plan only.',
  ),
  mode,
  store: quotaStore,
  onStoreFailure,
  ...limitReply,
});

/** How much of a Service a customer may use, by plan; uses are metered. */
export const quotaPolicy = resource('QuotaPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type QuotaPolicySpec = v.InferOutput<typeof spec>;
export type QuotaPlan = v.InferOutput<typeof plan>;
