import type { Clock } from '../../core/clock.js';
import { DecodeError, knownKeys, number } from '../../core/decode.js';
import { systemRandom } from '../../core/random.js';
import { AIMD_BOUNDS, Aimd } from '../../resilience/shedding/aimd.js';
import { GradientController, type GradientControllerOptions } from '../../resilience/shedding/gradient-controller.js';
import { GRADIENT2_BOUNDS, Gradient2 } from '../../resilience/shedding/gradient2.js';
import type { Limit, LimitBounds } from '../../resilience/shedding/limit.js';
import {
  DEFAULT_MAX_LAG_MS,
  DEFAULT_SHARES,
  LoadShedder,
  type ShedderConfig,
  type Shares,
} from '../../resilience/shedding/shedder.js';
import { VEGAS_BOUNDS, Vegas } from '../../resilience/shedding/vegas.js';
import { Windowed } from '../../resilience/shedding/window.js';
import type { InboundHeaders } from '../context.js';

export interface ShedOptions {
  /**
   * How the limit of requests under way is found: by how much longer they take than usual (`gradient2`), by how many of them wait (`vegas`), or by loss
   * alone (`aimd`), all three as Netflix concurrency-limits does; an object is Envoy's gradient controller. Default `gradient2`.
   */
  readonly algorithm?: 'gradient2' | 'vegas' | 'aimd' | GradientControllerOptions;
  /** Requests that the limit begins with, and its bounds: 1 to 100_000. Default 20, 20 and 200 (`vegas`: 20, 1 and 1_000). Not for Envoy's, which has its own. */
  readonly initialLimit?: number;
  readonly minLimit?: number;
  readonly maxLimit?: number;
  /** Share of the limit that each priority has even when the others fill the rest, together 1 at most. Default `{ high: 0.3, default: 0.6, batch: 0.1 }`. */
  readonly shares?: Shares;
  /**
   * How late the event loop may be, twice in succession, in milliseconds, 1 to 60_000: half of it for `batch`, twice for `high`. `false`: it is not watched. Default 70.
   */
  readonly maxLagMs?: number | false;
  /** When a request that was refused may come again, in milliseconds, 0 to 300_000. Default 1_000. */
  readonly retryAfterMs?: number;
  /** Requests that are always served, and not counted: checks of health, say. Default: none over HTTP. */
  readonly exempt?: (headers: InboundHeaders) => boolean;
  /** What `mesh.limiter` of the gauges says. Default `server`. */
  readonly name?: string;
}

/** One window: by then the limit may be another. */
export const DEFAULT_RETRY_AFTER_MS = 1_000;

const MAX_LIMIT = 100_000;
const MAX_LAG_MS = 60_000;
const MAX_RETRY_AFTER_MS = 300_000;
const KNOWN = [
  'algorithm',
  'initialLimit',
  'minLimit',
  'maxLimit',
  'shares',
  'maxLagMs',
  'retryAfterMs',
  'exempt',
  'name',
];

/** Throws DecodeError. */
export function loadShedder(options: ShedOptions, clock: Clock): LoadShedder {
  knownKeys(options as Record<string, unknown>, 'shed', KNOWN);
  return new LoadShedder(limitOf(options), config(options), clock);
}

export const retryAfterMs = (options: ShedOptions): number =>
  number(options.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS, 'shed.retryAfterMs', 0, MAX_RETRY_AFTER_MS);

function limitOf(options: ShedOptions): Limit {
  const { algorithm = 'gradient2' } = options;
  switch (algorithm) {
    case 'gradient2':
      return new Windowed(new Gradient2(bounds(options, GRADIENT2_BOUNDS)));
    case 'vegas':
      return new Windowed(new Vegas(systemRandom, bounds(options, VEGAS_BOUNDS)));
    case 'aimd':
      return new Windowed(new Aimd(bounds(options, AIMD_BOUNDS)));
  }
  if (typeof algorithm !== 'object' || algorithm === null) {
    throw new DecodeError(
      'shed.algorithm',
      "must be gradient2, vegas, aimd, or an object for Envoy's gradient controller",
    );
  }
  for (const name of ['initialLimit', 'minLimit', 'maxLimit'] as const) {
    if (options[name] !== undefined) {
      throw new DecodeError(`shed.${name}`, "is not for Envoy's gradient controller: set it in shed.algorithm");
    }
  }
  return new GradientController(gradient(algorithm), systemRandom);
}

function bounds(options: ShedOptions, defaults: LimitBounds): LimitBounds {
  const { maxLimit: most = MAX_LIMIT } = options;
  number(most, 'shed.maxLimit', 1, MAX_LIMIT);
  // Some algorithms go no lower than 20 by themselves: who wants fewer means it.
  const least = most < defaults.minLimit ? 1 : defaults.minLimit;
  const minLimit = whole(options.minLimit ?? least, 'shed.minLimit', 1, MAX_LIMIT);
  const maxLimit = whole(
    options.maxLimit ?? Math.max(defaults.maxLimit, minLimit),
    'shed.maxLimit',
    minLimit,
    MAX_LIMIT,
  );
  const initial = options.initialLimit ?? Math.max(minLimit, Math.min(maxLimit, defaults.initialLimit));
  return { minLimit, maxLimit, initialLimit: whole(initial, 'shed.initialLimit', minLimit, maxLimit) };
}

/** The bounds are those of the filter's proto (adaptive_concurrency.proto). */
function gradient(options: GradientControllerOptions): GradientControllerOptions {
  const path = 'shed.algorithm';
  const day = 86_400_000;
  const minConcurrency = options.minConcurrency;
  number(options.updateIntervalMs, `${path}.updateIntervalMs`, 1, day);
  number(options.minRttIntervalMs, `${path}.minRttIntervalMs`, 1, day);
  for (const share of ['percentile', 'jitter', 'buffer'] as const) {
    if (options[share] !== undefined) number(options[share], `${path}.${share}`, 0, 1);
  }
  if (minConcurrency !== undefined) whole(minConcurrency, `${path}.minConcurrency`, 1, MAX_LIMIT);
  if (options.minRttRequests !== undefined) whole(options.minRttRequests, `${path}.minRttRequests`, 1, MAX_LIMIT);
  if (options.maxLimit !== undefined) whole(options.maxLimit, `${path}.maxLimit`, minConcurrency ?? 1, MAX_LIMIT);
  return options;
}

function config({ shares = DEFAULT_SHARES, maxLagMs = DEFAULT_MAX_LAG_MS }: ShedOptions): ShedderConfig {
  const { high, default: usual, batch } = shares;
  for (const [priority, share] of Object.entries({ high, default: usual, batch }))
    number(share, `shed.shares.${priority}`, 0, 1);
  // Binary fractions: 0.3 + 0.6 + 0.1 is a hair less than 1, others are a hair more.
  if (high + usual + batch > 1 + 1e-9) throw new DecodeError('shed.shares', 'must not be more than 1 together');
  return {
    shares,
    maxLagMs: maxLagMs === false ? Number.POSITIVE_INFINITY : number(maxLagMs, 'shed.maxLagMs', 1, MAX_LAG_MS),
  };
}

function whole(value: number, path: string, min: number, max: number): number {
  number(value, path, min, max);
  if (!Number.isInteger(value)) throw new DecodeError(path, `must be a whole number, got ${value}`);
  return value;
}
