import type { Clock } from '../../../src/core/clock.js';
import { type Random, seededRandom } from '../../../src/core/random.js';
import { Aimd } from '../../../src/resilience/shedding/aimd.js';
import { GradientController } from '../../../src/resilience/shedding/gradient-controller.js';
import { Gradient2 } from '../../../src/resilience/shedding/gradient2.js';
import type { Limit } from '../../../src/resilience/shedding/limit.js';
import { DEFAULT_MAX_LAG_MS, DEFAULT_SHARES, LoadShedder } from '../../../src/resilience/shedding/shedder.js';
import { Vegas } from '../../../src/resilience/shedding/vegas.js';
import { Windowed } from '../../../src/resilience/shedding/window.js';
import { LoopClock } from '../../support/loop-clock.js';
import { EventClock } from './event-clock.js';
import { logNormal } from './log-normal.js';

/*
 * A server under loads from half to three times what it can serve. Callers go away after half a second, as callers do, and the server does not hear of it: what
 * it has taken it works off. Goodput is what was answered while somebody waited.
 */

/** Requests a second that the server can serve. */
export const CAPACITY = 1_000;
/** Of that, what is offered. */
export const LOADS = [0.5, 0.75, 0.9, 1, 1.25, 1.5, 2, 2.5, 3] as const;

const PATIENCE_MS = 500;
const WARM_UP_MS = 10_000;

export interface Point {
  readonly load: number;
  /** Requests a second that were answered in time. */
  readonly goodput: number;
  /** Of all requests, those refused. */
  readonly refused: number;
  /** Milliseconds, of those that were served, 99th percentile. */
  readonly p99Ms: number;
}

/** What the sweep is for: a limit, or none at all. */
export type MakeLimit = ((random: Random) => Limit) | undefined;

export const LIMITS = {
  gradient2: () => new Windowed(new Gradient2()),
  Vegas: (random) => new Windowed(new Vegas(random)),
  AIMD: () => new Windowed(new Aimd()),
  'Envoy’s gradient controller': (random) =>
    new GradientController({ updateIntervalMs: 100, minRttIntervalMs: 30_000 }, random),
} satisfies Record<string, MakeLimit>;

class Count {
  readonly #timesMs: number[] = [];
  #arrived = 0;
  #good = 0;
  #refused = 0;

  constructor(
    private readonly load: number,
    private readonly durationMs: number,
  ) {}

  arrived(at: number): void {
    if (at >= WARM_UP_MS) this.#arrived++;
  }

  refused(at: number): void {
    if (at >= WARM_UP_MS) this.#refused++;
  }

  served(at: number, now: number): void {
    if (at < WARM_UP_MS) return;
    this.#timesMs.push(now - at);
    if (now - at <= PATIENCE_MS) this.#good++;
  }

  point(): Point {
    const sorted = this.#timesMs.sort((a, b) => a - b);
    return {
      load: this.load,
      goodput: (this.#good / (this.durationMs - WARM_UP_MS)) * 1_000,
      refused: this.#refused / this.#arrived,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    };
  }
}

/** Milliseconds to the next of so many a second, as they come from many callers who do not know of each other. */
const gap = (perSecond: number, random: Random): number => (-Math.log(1 - random.next()) / perSecond) * 1_000;

/** Ten workers behind a queue, as connections to a database are: each request waits for one, and takes it for about 10 ms. */
export function pool(load: number, make: MakeLimit, durationMs: number): Point {
  const workers = 10;
  const sigma = 0.5;
  // The mean of a log-normal time is e^(sigma²/2) times its median.
  const medianMs = ((workers / CAPACITY) * 1_000) / Math.exp(sigma ** 2 / 2);
  const clock = new EventClock();
  const random = seededRandom(1);
  const shedder = shedderOf(make, random, clock, Number.POSITIVE_INFINITY);
  const count = new Count(load, durationMs);
  const queue: (() => void)[] = [];
  let busy = 0;
  const work = (): void => {
    while (busy < workers) {
      const next = queue.shift();
      if (next === undefined) return;
      busy++;
      next();
    }
  };
  const arrive = (): void => {
    clock.after(gap(load * CAPACITY, random), arrive);
    const at = clock.now();
    count.arrived(at);
    const permit = shedder?.admit('default');
    if (typeof permit === 'string') return count.refused(at);
    const leave = clock.after(PATIENCE_MS, () => permit?.end('left'));
    queue.push(() =>
      clock.after(logNormal(medianMs, sigma, random), () => {
        leave();
        permit?.end('served');
        count.served(at, clock.now());
        busy--;
        work();
      }),
    );
    work();
  };
  arrive();
  clock.runAtOnce(durationMs);
  return count.point();
}

/** Node's event loop: whatever has come is taken in turn, each computes for 1 ms; timers run between turns. To refuse takes 20 µs. */
export function computing(load: number, make: MakeLimit, durationMs: number): Point {
  const serveMs = 1_000 / CAPACITY;
  const refuseMs = 0.02;
  const loop = new LoopClock();
  const random = seededRandom(1);
  const shedder = shedderOf(make, random, loop, DEFAULT_MAX_LAG_MS);
  const count = new Count(load, durationMs);
  let nextAt = 0;
  while (loop.time < durationMs) {
    loop.runTimers();
    // What comes while this turn lasts is for the next one.
    const ready: number[] = [];
    for (; nextAt <= loop.time; nextAt += gap(load * CAPACITY, random)) ready.push(nextAt);
    if (ready.length === 0) loop.time = Math.min(nextAt, loop.nextTimer);
    for (const at of ready) {
      count.arrived(at);
      const permit = shedder?.admit('default');
      if (typeof permit === 'string') {
        loop.time += refuseMs;
        count.refused(at);
      } else {
        loop.time += serveMs;
        permit?.end('served');
        count.served(at, loop.time);
      }
    }
  }
  return count.point();
}

function shedderOf(make: MakeLimit, random: Random, clock: Clock, maxLagMs: number): LoadShedder | undefined {
  return make === undefined ? undefined : new LoadShedder(make(random), { shares: DEFAULT_SHARES, maxLagMs }, clock);
}
