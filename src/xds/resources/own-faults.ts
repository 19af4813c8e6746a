import type {
  FaultAbort,
  FaultConfig,
  FaultDelay,
  FaultGuard,
  FaultShare,
  FaultThrottle,
} from '../../core/model/fault.js';
import type { Extension } from './any.js';
import { happens, injects } from './filter-fault.js';
import { headerMatch } from './header-match.js';
import type { Message } from './message.js';
import { UINT32_MAX } from './message.js';
import {
  boundedMessages,
  boundedText,
  numberIn,
  onlyFields,
  ownConfig,
  requiredNumber,
  requiredWhole,
  wholeIn,
} from './own-config.js';

/** A TypedStruct of this type is a fault that Envoy's API has no field for. */
export const OWN_FAULT = 'inmesh.dev/fault';

const MAX_NAME = 500;
const MAX_HEADERS = 64;
const MAX_NODES = 1_000;
const MAX_GUARDS = 8;
const MAX_COUNT = 1_000_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const MAX_BYTES = Number.MAX_SAFE_INTEGER;

/** A fault of ours; `name` is absent where the filter's is meant. */
export type OwnFaults = Omit<FaultConfig, 'name'> & { readonly name?: string };

/**
 * `inmesh.dev/fault`: one fault, as an HttpFilter of a listener for the routes that say nothing themselves, or in `typed_per_filter_config` in place of
 * the filter's. Several filters are several faults, in their order. The value of the TypedStruct, all of it checked, unknown fields refused:
 *
 * - `name`: for metrics and events; default: the filter's.
 * - `delay`: `kind` `fixed`: `ms`; `uniform`: `min_ms`, `max_ms`; `normal`: `mean_ms`, `deviation_ms`, `max_ms`; `exponential`: `mean_ms`, `max_ms`;
 *   `header`. Milliseconds from 0 to 3600000.
 * - `abort`: `kind` `http`: `status` 200 to 599; `grpc`: `status` 0 to 16; `header`.
 * - `reset`: nothing more. `throttle`: `kind` `fixed`: `bytes_per_second` from 1; `header`. `truncate`: `after_bytes` from 0.
 * - Each of these five has `share`, 0 to 1, which must be set, and `of`, what percentage headers count in: 100 (default), 10000 or 1000000.
 * - `headers`: up to 64 `route.v3.HeaderMatcher`, in the shape of `core/resources.ts`. `cluster`, `downstream_nodes`: as in `HTTPFault`.
 * - `max_active`: from 0.
 * - `experiment`: `id`, `duration_ms` (1 to 86400000), `guards`: up to 8 of `kind` `success-rate`: `min` 0 to 1; `latency`: `percentile` above 0 and
 *   below 1, `max_ms`; each with `window_ms` (1000 to 3600000), `min_requests` (1 to 1000000).
 *
 * Undefined when it does nothing.
 */
export function ownFault(filter: Extension): OwnFaults | undefined {
  const config = ownConfig(filter);
  onlyFields(config, [
    'name',
    'delay',
    'abort',
    'reset',
    'throttle',
    'truncate',
    'headers',
    'cluster',
    'downstream_nodes',
    'max_active',
    'experiment',
  ]);
  const part = <T>(field: string, read: (message: Message) => T): T | undefined => {
    const message = config.message(field);
    return message === undefined ? undefined : read(message);
  };
  const nodes = config.texts('downstream_nodes');
  if (nodes.length > MAX_NODES) throw config.error('downstream_nodes', `must have at most ${MAX_NODES}`);
  const experiment = part('experiment', experimentOf);
  const found: OwnFaults = {
    ...(config.has('name') && { name: boundedText(config, 'name', MAX_NAME) }),
    ...happens('delay', part('delay', delayOf)),
    ...happens('abort', part('abort', abortOf)),
    ...happens(
      'reset',
      part('reset', (reset) => shareOf(reset, [])),
    ),
    ...happens('throttle', part('throttle', throttleOf)),
    ...happens(
      'truncate',
      part('truncate', (truncate) => ({
        ...shareOf(truncate, ['after_bytes']),
        afterBytes: requiredWhole(truncate, 'after_bytes', { min: 0, max: MAX_BYTES }),
      })),
    ),
    headers: boundedMessages(config, 'headers', MAX_HEADERS).map(headerMatch),
    ...(config.has('cluster') && { cluster: boundedText(config, 'cluster', MAX_NAME) }),
    ...(nodes.length > 0 && { downstreamNodes: nodes }),
    maxActive: wholeIn(config, 'max_active', { min: 0, max: UINT32_MAX }, undefined),
    ...(experiment !== undefined && { experiment }),
  };
  return injects(found) ? found : undefined;
}

/** How many requests it befalls; `fields` are those that the fault has beside. */
function shareOf(fault: Message, fields: readonly string[]): FaultShare {
  onlyFields(fault, ['share', 'of', ...fields]);
  const share = requiredNumber(fault, 'share', { min: 0, max: 1 });
  const of = numberIn(fault, 'of', { min: 100, max: 1_000_000 }, 100);
  if (![100, 10_000, 1_000_000].includes(of)) throw fault.error('of', `must be 100, 10000 or 1000000, got ${of}`);
  return { share, ...(of !== 100 && { of }) };
}

const DELAYS = {
  fixed: ['ms'],
  uniform: ['min_ms', 'max_ms'],
  normal: ['mean_ms', 'deviation_ms', 'max_ms'],
  exponential: ['mean_ms', 'max_ms'],
  header: [],
} as const satisfies Record<FaultDelay['kind'], readonly string[]>;

function delayOf(delay: Message): FaultDelay & FaultShare {
  const kind = kindOf(delay, ['fixed', 'uniform', 'normal', 'exponential', 'header']);
  const share = shareOf(delay, ['kind', ...DELAYS[kind]]);
  const ms = (field: string) => requiredNumber(delay, field, { min: 0, max: HOUR_MS });
  switch (kind) {
    case 'fixed':
      return { kind, ms: ms('ms'), ...share };
    case 'uniform': {
      const [minMs, maxMs] = [ms('min_ms'), ms('max_ms')];
      if (maxMs < minMs) throw delay.error('max_ms', `must be at least min_ms (${minMs}), got ${maxMs}`);
      return { kind, minMs, maxMs, ...share };
    }
    case 'normal':
      return { kind, meanMs: ms('mean_ms'), deviationMs: ms('deviation_ms'), maxMs: ms('max_ms'), ...share };
    case 'exponential':
      return { kind, meanMs: ms('mean_ms'), maxMs: ms('max_ms'), ...share };
    case 'header':
      return { kind, ...share };
  }
}

function abortOf(abort: Message): FaultAbort & FaultShare {
  const kind = kindOf(abort, ['http', 'grpc', 'header']);
  const share = shareOf(abort, kind === 'header' ? ['kind'] : ['kind', 'status']);
  if (kind === 'header') return { kind, ...share };
  const range = kind === 'http' ? { min: 200, max: 599 } : { min: 0, max: 16 };
  return { kind, status: requiredWhole(abort, 'status', range), ...share };
}

function throttleOf(throttle: Message): FaultThrottle & FaultShare {
  const kind = kindOf(throttle, ['fixed', 'header']);
  const share = shareOf(throttle, kind === 'header' ? ['kind'] : ['kind', 'bytes_per_second']);
  if (kind === 'header') return { kind, ...share };
  return { kind, bytesPerSecond: requiredWhole(throttle, 'bytes_per_second', { min: 1, max: MAX_BYTES }), ...share };
}

function experimentOf(experiment: Message): NonNullable<FaultConfig['experiment']> {
  onlyFields(experiment, ['id', 'duration_ms', 'guards']);
  return {
    id: boundedText(experiment, 'id', MAX_NAME),
    durationMs: requiredNumber(experiment, 'duration_ms', { min: 1, max: DAY_MS }),
    guards: boundedMessages(experiment, 'guards', MAX_GUARDS).map(guardOf),
  };
}

function guardOf(guard: Message): FaultGuard {
  const kind = kindOf(guard, ['success-rate', 'latency']);
  onlyFields(guard, [
    'kind',
    'window_ms',
    'min_requests',
    ...(kind === 'latency' ? ['percentile', 'max_ms'] : ['min']),
  ]);
  const over = {
    windowMs: requiredNumber(guard, 'window_ms', { min: 1_000, max: HOUR_MS }),
    minRequests: requiredWhole(guard, 'min_requests', { min: 1, max: MAX_COUNT }),
  };
  if (kind === 'success-rate') return { kind, min: requiredNumber(guard, 'min', { min: 0, max: 1 }), ...over };
  const percentile = requiredNumber(guard, 'percentile', { min: 0, max: 1 });
  if (percentile === 0 || percentile === 1)
    throw guard.error('percentile', `must be above 0 and below 1, got ${percentile}`);
  return { kind, percentile, maxMs: requiredNumber(guard, 'max_ms', { min: 0, max: HOUR_MS }), ...over };
}

function kindOf<T extends string>(message: Message, known: readonly [T, ...T[]]): T {
  if (!message.has('kind')) throw message.error('kind', `must be set to one of ${known.join(', ')}`);
  return message.choice('kind', known);
}
