import type { SlowStartConfig } from '../../core/model/balancer.js';
import type { Message } from './message.js';
import { percentShare } from './percent.js';
import type { Settings } from './struct.js';

/** "Defaults to 1.0" and "the default is 10%" - common.proto, SlowStartConfig */
const DEFAULT_AGGRESSION = 1;
const DEFAULT_MIN_WEIGHT = 0.1;
/** A share of 0 would keep an endpoint without calls for all of its window. */
const LEAST_WEIGHT = 0.001;
const DAY_MS = 86_400_000;
const MAX_AGGRESSION = 1_000;

/** `slow_start_config` of a policy or of the cluster's own settings for one. Undefined: no window, so no slow start. */
export function slowStart(config: Message | undefined): SlowStartConfig | undefined {
  const slow = config?.message('slow_start_config');
  if (slow === undefined) return undefined;
  const windowMs = slow.duration('slow_start_window') ?? 0;
  const runtime = slow.message('aggression');
  const aggression = runtime?.double('default_value') ?? DEFAULT_AGGRESSION;
  // "The value of aggression parameter should be greater than 0.0" - common.proto
  if (aggression <= 0) throw slow.error('aggression', `must be greater than 0, got ${aggression}`);
  const minWeight = Math.max(LEAST_WEIGHT, percentShare(slow, 'min_weight_percent') ?? DEFAULT_MIN_WEIGHT);
  return windowMs === 0 ? undefined : { windowMs, aggression: Math.min(aggression, MAX_AGGRESSION), minWeight };
}

/** The same as settings of a policy of ours: `slow_start` with `window_ms`, `aggression`, and `min_weight` in [0.001, 1]. */
export function slowStartSettings(settings: Settings | undefined): SlowStartConfig | undefined {
  const slow = settings?.nested('slow_start');
  if (slow === undefined) return undefined;
  const windowMs = slow.number('window_ms', 0, DAY_MS, 0);
  const aggression = slow.number('aggression', 0.001, MAX_AGGRESSION, DEFAULT_AGGRESSION);
  const minWeight = slow.number('min_weight', LEAST_WEIGHT, 1, DEFAULT_MIN_WEIGHT);
  return windowMs === 0 ? undefined : { windowMs, aggression, minWeight };
}
