import * as v from 'valibot';
import { about, duration, integer, percent } from './fields.js';

const budget = v.strictObject({
  percent: about(v.optional(percent, 20), 'Retries as a share of calls, in percent (GEP-3388). Default 20.'),
  interval: about(
    v.optional(duration, '10s'),
    "How long a call counts, 1s to 60s (GEP-3388 has up to 1h; Finagle's budget ends at 60s). Default 10s.",
  ),
});

const minRetryRate = v.strictObject({
  count: about(
    v.optional(integer(0, 1_000_000), 10),
    'Retries that are always allowed in each interval (GEP-3388). Default 10.',
  ),
  interval: about(v.optional(duration, '1s'), 'Default 1s.'),
});

/** Gateway API `retryConstraint` (GEP-3388). */
export const retryConstraint = v.strictObject({
  budget: v.optional(budget, {}),
  minRetryRate: v.optional(minRetryRate, {}),
});
