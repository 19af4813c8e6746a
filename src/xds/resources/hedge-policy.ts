import { grpcStatusNumber } from '../../core/grpc-status.js';
import { DEFAULT_HEDGE, type HedgeConfig, type RetryConfig } from '../../core/model/route.js';
import { type Message, UINT32_MAX } from './message.js';
import { filterMetadata, OWN_METADATA, type Settings } from './struct.js';

/** "higher values will be treated as equal to the maximum value" of 5 - gRFC A6 */
const MAX_ATTEMPTS = 5;
const HOUR_MS = 3_600_000;

/**
 * How a route is hedged: `filter_metadata["inmesh.dev"].hedge` of the route (`max_attempts` 2 to 5, `delay_ms`, `percentile`, `max_extra_load`,
 * `non_fatal_statuses` by name, `on_per_try_timeout`), else Envoy's `hedge_policy` of its action, else that of the virtual host: "it'll be treated
 * independently (e.g.: values are not inherited)" - route_components.proto.
 */
export function hedging(
  { route, policy }: { readonly route: Message; readonly policy: Message | undefined },
  retry: RetryConfig | undefined,
): HedgeConfig | undefined {
  const own = filterMetadata(route, OWN_METADATA)?.nested('hedge');
  if (own !== undefined) return ownHedge(own);
  return policy === undefined ? undefined : onPerTryTimeout(policy, retry);
}

/** `route.v3.HedgePolicy` of one level, checked. Of what it has, Envoy too does only `hedge_on_per_try_timeout`. */
export function hedgePolicy(level: Message): Message | undefined {
  const policy = level.message('hedge_policy');
  // "gte: 1" - route_components.proto
  if (policy?.uint32Value('initial_requests') === 0) throw policy.error('initial_requests', 'must be at least 1');
  return policy;
}

/**
 * "For this to have effect, you must have a RetryPolicy that retries at least one error code and specifies a maximum number of retries." Extra
 * load is bounded by the retry policy and its budget alone.
 */
function onPerTryTimeout(policy: Message, retry: RetryConfig | undefined): HedgeConfig | undefined {
  if (!policy.flag('hedge_on_per_try_timeout') || retry?.perTryTimeoutMs === undefined || retry.on.size === 0)
    return undefined;
  return {
    maxAttempts: Math.min(MAX_ATTEMPTS, 1 + retry.maxRetries),
    delayMs: retry.perTryTimeoutMs,
    percentile: DEFAULT_HEDGE.percentile,
    maxExtraLoad: 1,
    onPerTryTimeout: true,
  };
}

function ownHedge(own: Settings): HedgeConfig {
  const statuses = own.texts('non_fatal_statuses').map((name, i) => {
    const status = grpcStatusNumber(name);
    if (status === undefined || status === 0)
      throw own.error('non_fatal_statuses', `must have names of gRPC statuses other than OK, got "${name}" at ${i}`);
    return status;
  });
  return {
    maxAttempts: Math.min(MAX_ATTEMPTS, own.integer('max_attempts', 2, UINT32_MAX, DEFAULT_HEDGE.maxAttempts)),
    delayMs: own.has('delay_ms') ? own.number('delay_ms', 0, HOUR_MS, 0) : undefined,
    percentile: own.number('percentile', 0.01, 0.9999, DEFAULT_HEDGE.percentile),
    maxExtraLoad: own.number('max_extra_load', 0.0001, 1, DEFAULT_HEDGE.maxExtraLoad),
    nonFatalStatuses: statuses.length === 0 ? undefined : new Set(statuses),
    onPerTryTimeout: own.flag('on_per_try_timeout') || undefined,
  };
}
