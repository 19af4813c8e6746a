import * as v from 'valibot';
import { about, duration, headerName, integer, label, listOf, resource, text } from './fields.js';
import { limit, limitKey, limitMatch, limitReply, limitStore, mode, onStoreFailure } from './limit.js';
import { requestTargets, side } from './policy-target.js';

const override = v.strictObject({
  match: about(
    v.record(text(1, 256), text(0, 4096)),
    'Values of parts of the key, by their names (`as`); parts that are not named have any value.',
  ),
  limit: about(v.optional(limit), 'Limit for these.'),
  unlimited: about(v.optional(v.boolean()), 'true: none for these.'),
});

const queue = v.strictObject({
  maxWait: about(v.optional(duration, '1s'), 'A request waits at most so long, 1ms to 10m. Default 1s.'),
  maxLength: about(v.optional(integer(1, 100_000), 100), 'Requests that wait at most, per key. Default 100.'),
});

const rule = v.strictObject({
  name: about(label, 'Name of the rule, unique in the policy: its counts outlive a change of the configuration.'),
  when: about(
    v.optional(listOf(limitMatch, 1, 8)),
    'Only requests that one of these matches. Default: all that the targets get.',
  ),
  key: about(
    v.optional(listOf(limitKey, 0, 16), []),
    'Requests with the same values count together. Default: all count together.',
  ),
  limit: about(
    v.optional(limit),
    'For all keys without an override. A rate limit service is told it, in place of what it has (Envoy `limit_override`); it counts by 1s, 1m, 1h, 24h, `week`, `month` (30 days), `year`.',
  ),
  overrides: about(v.optional(listOf(override, 1, 256)), 'For certain keys; the first that fits counts.'),
  mode,
  queue: about(
    v.optional(queue),
    'Requests beyond the limit wait for their turn, up to these bounds. Default: they are refused at once.',
  ),
  store: limitStore,
  onStoreFailure,
  cost: about(
    v.optional(
      v.union([
        integer(0, 1_000_000),
        v.strictObject({
          header: about(
            headerName,
            'A header of the request that says it; 1 where it is no number, or 0 (only a rate limit service is told of 0).',
          ),
        }),
      ]),
    ),
    'What a request counts (Envoy `hits_addend`). Default 1.',
  ),
});

const spec = v.strictObject({
  targetRefs: requestTargets,
  side,
  limits: about(listOf(rule, 1, 32), 'Rules; all must let a request through.'),
  ...limitReply,
});

/** How many requests are let through. */
export const rateLimitPolicy = resource('RateLimitPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type RateLimitPolicySpec = v.InferOutput<typeof spec>;
export type RateLimitRule = v.InferOutput<typeof rule>;
