import type { AdaptiveConcurrency } from '../../core/model/server.js';
import { errorStatus } from './http-status.js';
import type { Message } from './message.js';
import { percentShare } from './percent.js';

/** "Defaults to" of adaptive_concurrency.proto. */
const DEFAULT_PERCENTILE = 0.5;
const DEFAULT_MAX_LIMIT = 1_000;
const DEFAULT_MIN_RTT_REQUESTS = 50;
const DEFAULT_MIN_CONCURRENCY = 3;
const DEFAULT_JITTER = 0.15;
const DEFAULT_BUFFER = 0.25;
const DEFAULT_STATUS = 503;

/**
 * `extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency`, by the rules of its proto. Undefined: `enabled` says false; there is no runtime
 * layer here, so that its default is its value.
 */
export function adaptiveConcurrency(filter: Message): AdaptiveConcurrency | undefined {
  const controller = filter.required('gradient_controller_config');
  const limits = controller.required('concurrency_limit_params');
  const minRtt = controller.required('min_rtt_calc_params');
  const found = {
    percentile: percentShare(controller, 'sample_aggregate_percentile') ?? DEFAULT_PERCENTILE,
    maxLimit: positive(limits, 'max_concurrency_limit') ?? DEFAULT_MAX_LIMIT,
    updateIntervalMs: requiredInterval(limits, 'concurrency_update_interval'),
    ...measured(minRtt),
    minRttRequests: positive(minRtt, 'request_count') ?? DEFAULT_MIN_RTT_REQUESTS,
    minConcurrency: positive(minRtt, 'min_concurrency') ?? DEFAULT_MIN_CONCURRENCY,
    jitter: percentShare(minRtt, 'jitter') ?? DEFAULT_JITTER,
    buffer: percentShare(minRtt, 'buffer') ?? DEFAULT_BUFFER,
    status: errorStatus(filter, 'concurrency_limit_exceeded_status', DEFAULT_STATUS),
  };
  const enabled = filter.message('enabled');
  if (enabled === undefined) return found;
  // "min_len: 1" - base.proto, RuntimeFeatureFlag
  enabled.requiredText('runtime_key');
  return enabled.required('default_value').flag('value') ? found : undefined;
}

/** `fixed_value` counts where there is no `interval`: it "is used when minRTT is not sampled dynamically". */
function measured(minRtt: Message): Pick<AdaptiveConcurrency, 'minRttIntervalMs' | 'fixedMinRttMs'> {
  const fixed = minRtt.duration('fixed_value');
  if (fixed === 0) throw minRtt.error('fixed_value', 'must be more than 0 s');
  const interval = minRtt.duration('interval');
  if (interval !== undefined) {
    // "gte {nanos: 1000000}"
    if (interval < 1) throw minRtt.error('interval', `must be at least 1 ms, got ${interval} ms`);
    return { minRttIntervalMs: interval, fixedMinRttMs: undefined };
  }
  if (fixed === undefined) throw minRtt.error('', 'must have interval, or a fixed_value that is not measured');
  return { minRttIntervalMs: Number.POSITIVE_INFINITY, fixedMinRttMs: fixed };
}

function requiredInterval(owner: Message, field: string): number {
  owner.required(field);
  const interval = owner.duration(field);
  if (interval === undefined || interval === 0) throw owner.error(field, 'must be more than 0 s');
  return interval;
}

/** "gt: 0" */
function positive(owner: Message, field: string): number | undefined {
  const value = owner.uint32Value(field);
  if (value === 0) throw owner.error(field, 'must be greater than 0');
  return value;
}
