import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Random } from '../../../src/core/random.js';
import { GradientController } from '../../../src/resilience/shedding/gradient-controller.js';

/** The controller against one that remembers everything and is as simple as Envoy's text: windows of samples, one closed after the other. */

interface Config {
  readonly percentile: number;
  readonly maxLimit: number;
  readonly updateIntervalMs: number;
  readonly minRttIntervalMs: number;
  readonly minRttRequests: number;
  readonly minConcurrency: number;
  readonly jitter: number;
  readonly buffer: number;
  readonly fixedMinRttMs: number | undefined;
}

type Phase =
  | { readonly kind: 'idle' }
  /** `resume`: the limit of before; `since`: requests that began earlier do not count. */
  | { readonly kind: 'measuring'; readonly since: number; readonly resume: number; readonly times: number[] }
  | {
      readonly kind: 'following';
      readonly since: number;
      readonly closesAt: number;
      readonly measureAt: number;
      readonly times: number[];
    };

class Model {
  phase: Phase = { kind: 'idle' };
  limit: number;
  minRttMs = 0;
  /** Windows in succession that began and ended at the lowest limit. */
  lowest = 0;
  now = 0;
  /** The drawn jitter of each measurement that ended, in milliseconds. */
  readonly waits: number[] = [];

  constructor(
    readonly config: Config,
    private readonly draw: () => number,
  ) {
    this.limit = config.minConcurrency;
  }

  tick(): void {
    const { now, config } = this;
    if (this.phase.kind === 'idle') {
      if (config.fixedMinRttMs === undefined) this.measure();
      else {
        this.minRttMs = config.fixedMinRttMs;
        this.phase = this.following(now, Number.POSITIVE_INFINITY);
      }
    }
    if (this.phase.kind !== 'following') return;
    if (now >= this.phase.closesAt) {
      const { times, since, measureAt } = this.phase;
      this.phase = { ...this.following(since, measureAt), times: [] };
      if (times.length > 0) this.follow(percentile(times, config.percentile));
    }
    if (config.fixedMinRttMs === undefined && (now >= this.phase.measureAt || this.lowest >= 5)) this.measure();
  }

  sample(rttMs: number, dropped: boolean): void {
    this.tick();
    const { phase, now, config } = this;
    if (phase.kind === 'idle' || dropped || now - rttMs < phase.since) return;
    phase.times.push(rttMs);
    if (phase.kind !== 'measuring' || phase.times.length < config.minRttRequests) return;
    this.minRttMs = percentile(phase.times, config.percentile);
    this.limit = phase.resume;
    this.lowest = 0;
    const wait = config.minRttIntervalMs * (1 + config.jitter * this.draw());
    this.waits.push(wait);
    this.phase = this.following(phase.since, now + wait);
  }

  private following(since: number, measureAt: number): Phase & { kind: 'following' } {
    return { kind: 'following', since, closesAt: this.now + this.config.updateIntervalMs, measureAt, times: [] };
  }

  private measure(): void {
    this.phase = { kind: 'measuring', since: this.now, resume: this.limit, times: [] };
    this.limit = this.config.minConcurrency;
    this.lowest = 0;
  }

  private follow(sampleMs: number): void {
    const { buffer, minConcurrency, maxLimit } = this.config;
    const longest = this.minRttMs * (1 + buffer);
    const scaled = this.limit * (sampleMs === 0 ? 2 : clamp(longest / sampleMs, 0.5, 2));
    const next = clamp(Math.floor(scaled + Math.sqrt(scaled)), minConcurrency, maxLimit);
    this.lowest = this.limit === minConcurrency && next === minConcurrency ? this.lowest + 1 : 0;
    this.limit = next;
  }
}

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** The least of the times that so large a share of them does not exceed. */
function percentile(times: readonly number[], share: number): number {
  const enough = (one: number): boolean => times.filter((other) => other <= one).length >= share * times.length;
  return Math.min(...times.filter(enough));
}

interface Real {
  readonly controller: GradientController;
}

function agree(model: Model, real: Real): void {
  model.tick();
  const { minConcurrency, maxLimit, minRttIntervalMs, jitter } = model.config;
  const limit = real.controller.at(model.now);
  expect(limit).toBe(model.limit);
  expect(limit).toBeGreaterThanOrEqual(minConcurrency);
  expect(limit).toBeLessThanOrEqual(maxLimit);
  if (model.phase.kind === 'measuring') expect(limit).toBe(minConcurrency);
  for (const wait of model.waits) {
    expect(wait).toBeGreaterThanOrEqual(minRttIntervalMs);
    expect(wait).toBeLessThanOrEqual(minRttIntervalMs * (1 + jitter));
  }
}

class Wait implements fc.Command<Model, Real> {
  constructor(private readonly ms: number) {}
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    model.now += this.ms;
    agree(model, real);
  }
  toString = (): string => `wait ${this.ms}`;
}

/** The next moment at which something is due, or one millisecond before or after. */
class WaitForTimer implements fc.Command<Model, Real> {
  constructor(
    private readonly which: 'closesAt' | 'measureAt',
    private readonly off: number,
  ) {}
  check = ({ phase }: Readonly<Model>): boolean => phase.kind === 'following' && Number.isFinite(phase[this.which]);
  run(model: Model, real: Real): void {
    if (model.phase.kind === 'following') model.now = Math.max(model.now, model.phase[this.which] + this.off);
    agree(model, real);
  }
  toString = (): string => `wait for ${this.which} ${this.off}`;
}

class End implements fc.Command<Model, Real> {
  constructor(
    private readonly count: number,
    private readonly rttMs: number,
    private readonly dropped: boolean,
  ) {}
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    for (let i = 0; i < this.count; i++) {
      model.sample(this.rttMs, this.dropped);
      real.controller.sample(model.now - this.rttMs, this.rttMs, 1, this.dropped);
    }
    agree(model, real);
  }
  toString = (): string => `${this.count} end after ${this.rttMs}${this.dropped ? ', given up' : ''}`;
}

/** Windows in succession with a request in each. */
class Windows implements fc.Command<Model, Real> {
  constructor(
    private readonly count: number,
    private readonly rttMs: number,
  ) {}
  check = (): boolean => true;
  run(model: Model, real: Real): void {
    for (let i = 0; i < this.count; i++) {
      new End(1, this.rttMs, false).run(model, real);
      new Wait(model.config.updateIntervalMs).run(model, real);
    }
  }
  toString = (): string => `${this.count} windows of ${this.rttMs}`;
}

const config = fc
  .record({
    percentile: fc.constantFrom(0, 0.5, 0.9, 1),
    minConcurrency: fc.integer({ min: 1, max: 10 }),
    more: fc.constantFrom(0, 1, 20, 1_000),
    updateIntervalMs: fc.integer({ min: 1, max: 200 }),
    minRttIntervalMs: fc.oneof(fc.integer({ min: 1, max: 3_000 }), fc.constant(60_000)),
    minRttRequests: fc.integer({ min: 1, max: 8 }),
    // Of eighths, as what is drawn: times then add up exactly.
    jitter: fc.constantFrom(0, 0.125, 1),
    buffer: fc.constantFrom(0, 0.25, 1),
    fixedMinRttMs: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined, freq: 4 }),
  })
  .map(({ more, ...rest }): Config => ({ ...rest, maxLimit: rest.minConcurrency + more }));

const commands = fc.commands(
  [
    fc.nat({ max: 400 }).map((ms) => new Wait(ms)),
    fc
      .tuple(fc.constantFrom('closesAt' as const, 'measureAt' as const), fc.integer({ min: -1, max: 1 }))
      .map(([which, off]) => new WaitForTimer(which, off)),
    fc
      .tuple(fc.integer({ min: 1, max: 10 }), fc.nat({ max: 60 }), fc.boolean(), fc.boolean())
      .map(([count, rttMs, a, b]) => new End(count, rttMs, a && b)),
    fc.tuple(fc.integer({ min: 1, max: 6 }), fc.nat({ max: 60 })).map(([count, rttMs]) => new Windows(count, rttMs)),
  ],
  { maxCommands: 150, size: 'max' },
);

const eighths = fc.nat({ max: 7 }).map((n) => n / 8);

test('agrees with a plain model, whatever ends when: bounds, measurements, the limit of before, jitter', () => {
  fc.assert(
    fc.property(config, fc.array(eighths, { minLength: 1 }), commands, (c, d, run) => {
      const draws = (): (() => number) => {
        let n = 0;
        return () => d[n++ % d.length] as number;
      };
      // Windows of fewer than 1,024 are kept whole: only the jitter is drawn.
      const random: Random = { next: draws(), int: () => 0 };
      fc.modelRun(
        () => ({ model: new Model(c, draws()), real: { controller: new GradientController(c, random) } }),
        run,
      );
    }),
    { numRuns: 100 },
  );
});
