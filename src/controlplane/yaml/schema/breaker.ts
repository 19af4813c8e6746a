import * as v from 'valibot';
import { about, duration, integer, percent } from './fields.js';

const successRate = v.strictObject({
  percent: about(
    v.optional(percent, 80),
    'It opens when less than this share of the calls succeeds, in percent; 0: not looked at. Default 80 (Linkerd).',
  ),
  window: about(v.optional(duration, '10s'), 'How long a call counts, at least 100ms. Default 10s.'),
  minimumRequests: about(v.optional(integer(1, 1_000_000), 5), 'With fewer calls it does not open. Default 5.'),
  buckets: about(v.optional(integer(1, 100), 10), 'Parts of the window, which are forgotten one by one. Default 10.'),
});

/** The breaker of a whole Service, which neither Envoy nor the Gateway API has. */
export const breaker = v.strictObject({
  consecutiveFailures: about(
    v.optional(integer(0, 1_000_000), 7),
    'It opens after so many failures in a row; 0: not counted. Default 7 (Linkerd).',
  ),
  successRate: about(v.optional(successRate, {}), 'It opens also by the share of calls that succeed.'),
  basePenalty: about(v.optional(duration, '1s'), 'How long it stays open at first. Default 1s (Linkerd).'),
  maxPenalty: about(
    v.optional(duration, '1m'),
    'How long at most: each failed probe doubles the time. Default 1m (Linkerd).',
  ),
  jitterPercent: about(
    v.optional(percent, 50),
    'Share of the time that is added at random, in percent. Default 50 (Linkerd).',
  ),
  probes: about(
    v.optional(integer(1, 1_000), 1),
    'Real calls that are let through when the time is over; all must succeed. Default 1.',
  ),
});

export type BreakerSpec = v.InferOutput<typeof breaker>;
