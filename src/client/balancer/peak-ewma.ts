import type { BalancerConfig } from '../../core/model/balancer.js';
import { AT, DECAY, HELD_FOR, HELD_UNTIL, INFLIGHT, LAST_PICKED, LATENCY, slab } from './load-slab.js';
import { choiceOf } from './p2c.js';
import type { BalancerEnv, Policy } from './policy.js';

/** An endpoint not picked for this long is picked once when it is drawn (Kratos P2C `forcePick`, 3 s). */
const FORCE_AFTER_MS = 3_000;
/** Least latency that counts, so that endpoints whose history has faded differ by what they have in flight. */
const FLOOR_MS = 0.01;
/** The longest wait that an endpoint may ask for (Linkerd's load biaser, 300 s): beyond that it would be forgotten. */
export const MAX_HOLD_MS = 300_000;

/** How latency is counted: `decayMs`, and what one not yet seen counts as, in milliseconds. */
export type LatencySettings = Pick<Extract<BalancerConfig, { kind: 'peak_ewma' }>, 'decayMs' | 'defaultRttMs'>;

const UNCONFIGURED: LatencySettings = { decayMs: 10_000, defaultRttMs: 30 };

/** Latencies are seen whatever the balancer, so that one that goes by them finds them known. */
export const latencySettings = (balancer: BalancerConfig): LatencySettings =>
  balancer.kind === 'peak_ewma' ? balancer : UNCONFIGURED;

/** The endpoints that are there are counted by other settings from now on, if they are others. */
export function reconfigureLatencies(
  endpoints: readonly { readonly latency: PeakEwma }[],
  before: BalancerConfig,
  after: BalancerConfig,
): void {
  const old = latencySettings(before);
  const settings = latencySettings(after);
  if (settings.decayMs === old.decayMs && settings.defaultRttMs === old.defaultRttMs) return;
  for (const { latency } of endpoints) latency.configure(settings, old);
}

/**
 * Latency as Finagle's PeakEwma sees it: a rise counts at once and whole, a fall slowly, by half-lives of `decayMs`; so one that
 * slows down is left at once and won back with care. Default decay 10 s, 30 ms for one not yet seen (linkerd2-proxy).
 */
export class PeakEwma {
  /** Where its numbers are in the slab, and others that balancers want of the same endpoint. */
  readonly row = slab.take(this);

  constructor(decayMs: number, startMs: number, now: number) {
    const { values } = slab;
    values[this.row + LATENCY] = startMs;
    values[this.row + AT] = now;
    values[this.row + INFLIGHT] = 0;
    values[this.row + HELD_UNTIL] = Number.NEGATIVE_INFINITY;
    values[this.row + DECAY] = decayMs;
    values[this.row + LAST_PICKED] = now;
    values[this.row + HELD_FOR] = 0;
  }

  /** Other settings than the `old` ones. One whose latency is what it began with has not been seen. */
  configure({ decayMs, defaultRttMs }: LatencySettings, old: LatencySettings): void {
    const { values } = slab;
    values[this.row + DECAY] = decayMs;
    if (values[this.row + LATENCY] === old.defaultRttMs) values[this.row + LATENCY] = defaultRttMs;
  }

  /** `at` may lie in the past, for a reply that took long to end: then it counts as of what is known. */
  observe(latencyMs: number, at: number): void {
    const { row } = this;
    const { values } = slab;
    const now = Math.max(at, values[row + AT] as number);
    const weight = fade(row, now);
    const faded = (values[row + LATENCY] as number) * weight;
    values[row + LATENCY] = latencyMs > faded ? latencyMs : faded + latencyMs * (1 - weight);
    values[row + AT] = now;
  }

  /**
   * "Come back in `delayMs`" (`Retry-After`, `grpc-retry-pushback-ms`): until then it costs that long, whatever else is seen of it; MAX_HOLD_MS
   * at most. A shorter wait that it asks for later takes nothing back.
   */
  hold(delayMs: number, now: number): void {
    const delay = Math.min(delayMs, MAX_HOLD_MS);
    // Not a number and not in the future: nothing is asked for.
    const { row } = this;
    const { values } = slab;
    if (!(delay > 0) || now + delay <= (values[row + HELD_UNTIL] as number)) return;
    values[row + HELD_FOR] = delay;
    values[row + HELD_UNTIL] = now + delay;
  }

  held(now: number): boolean {
    return isHeld(this.row, now);
  }

  /** What is expected of the next call, in milliseconds; fades towards 0 while nothing is seen. */
  value(now: number): number {
    return expected(this.row, now);
  }
}

function expected(row: number, now: number): number {
  const { values } = slab;
  const latency = Math.max(FLOOR_MS, (values[row + LATENCY] as number) * fade(row, now));
  return isHeld(row, now) ? Math.max(latency, values[row + HELD_FOR] as number) : latency;
}

const isHeld = (row: number, now: number): boolean => now < (slab.values[row + HELD_UNTIL] as number);

function fade(row: number, now: number): number {
  const { values } = slab;
  return Math.exp(-Math.max(0, now - (values[row + AT] as number)) / (values[row + DECAY] as number));
}

/** Cost = expected latency × (calls in flight + 1), the cheaper of two (Finagle p2cPeakEwma). */
export function peakEwma(env: BalancerEnv): Policy {
  return choiceOf(
    {
      choices: 2,
      cost: (row, load, now) => expected(row, now) * (load + 1),
      overdue: (row, now) => now - (slab.values[row + LAST_PICKED] as number) > FORCE_AFTER_MS && !isHeld(row, now),
    },
    env,
  );
}
