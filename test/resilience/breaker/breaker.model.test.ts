import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Outcome } from '../../../src/core/classify.js';
import { noMeter } from '../../../src/core/meter.js';
import type { BreakerConfig } from '../../../src/core/model/breaker.js';
import { Breaker } from '../../../src/resilience/breaker/breaker.js';
import { loadOpossum } from '../../../src/resilience/breaker/circuit.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ModelBreaker, type ModelCall } from './model.js';

interface Real {
  readonly breaker: Breaker;
  readonly clock: FakeClock;
  readonly events: string[];
  /** Numbers of those let through that have not ended, beside the model's. */
  readonly underWay: number[];
}

interface Model {
  readonly breaker: ModelBreaker;
  readonly underWay: ModelCall[];
  now: number;
}

const agree = (model: Model, real: Real): void => {
  expect(real.breaker.state).toBe(model.breaker.state);
  expect(real.events).toEqual(model.breaker.events);
};

class Begin implements fc.AsyncCommand<Model, Real> {
  check = (model: Readonly<Model>): boolean => model.underWay.length < 20;
  async run(model: Model, real: Real): Promise<void> {
    const expected = model.breaker.admit(model.now);
    expect(real.breaker.refuses(model.now)).toBe(expected === undefined);
    const epoch = real.breaker.admit();
    expect(epoch !== undefined).toBe(expected !== undefined);
    if (expected !== undefined) model.underWay.push(expected);
    if (epoch !== undefined) real.underWay.push(epoch);
    agree(model, real);
  }
  toString = (): string => 'begin';
}

class End implements fc.AsyncCommand<Model, Real> {
  constructor(
    private readonly which: number,
    private readonly outcome: Outcome,
  ) {}
  check = (model: Readonly<Model>): boolean => model.underWay.length > 0;
  async run(model: Model, real: Real): Promise<void> {
    const at = this.which % model.underWay.length;
    const [expected] = model.underWay.splice(at, 1);
    const [epoch] = real.underWay.splice(at, 1);
    model.breaker.end(expected as ModelCall, this.outcome, model.now);
    real.breaker.report(epoch as number, this.outcome);
    agree(model, real);
  }
  toString = (): string => `end ${this.which} ${this.outcome}`;
}

class Wait implements fc.AsyncCommand<Model, Real> {
  constructor(private readonly ms: number) {}
  check = (): boolean => true;
  async run(model: Model, real: Real): Promise<void> {
    model.now += this.ms;
    await real.clock.advance(this.ms);
    agree(model, real);
  }
  toString = (): string => `wait ${this.ms}`;
}

const outcomes = fc.constantFrom<Outcome>('success', 'success', 'failure', 'failure', 'failure', 'ignored');
const commands = [
  fc.constant(new Begin()),
  fc.tuple(fc.nat(19), outcomes).map(([which, outcome]) => new End(which, outcome)),
  fc.integer({ min: 1, max: 400 }).map((ms) => new Wait(ms)),
  fc.integer({ min: 400, max: 5_000 }).map((ms) => new Wait(ms)),
];

const configs: fc.Arbitrary<BreakerConfig> = fc.record({
  consecutiveFailures: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  successRate: fc.option(
    fc.record({
      threshold: fc.constantFrom(0, 0.07, 0.5, 0.8, 0.93, 1),
      windowMs: fc.constantFrom(100, 1_000, 3_000),
      minRequests: fc.integer({ min: 1, max: 8 }),
      buckets: fc.integer({ min: 1, max: 10 }),
    }),
    { nil: undefined },
  ),
  basePenaltyMs: fc.constantFrom(50, 500),
  maxPenaltyMs: fc.constantFrom(500, 3_000),
  jitter: fc.constant(0),
  probes: fc.integer({ min: 1, max: 3 }),
});

test('whatever comes in whatever order, the breaker does what its plain model says', async () => {
  const Opossum = await loadOpossum();
  await fc.assert(
    fc.asyncProperty(configs, fc.commands(commands, { maxCommands: 80, size: '+1' }), async (config, steps) => {
      const clock = new FakeClock();
      const events: string[] = [];
      const meter = {
        ...noMeter,
        event: (event: Parameters<typeof noMeter.event>[0]) =>
          void events.push(`${event.kind.slice('breaker:'.length)}${'reason' in event ? ` ${event.reason}` : ''}`),
      };
      const random = { next: () => 0, int: () => 0 };
      const breaker = new Breaker(Opossum, config, { clock, random, meter, cluster: 'reviews' });
      const setup = () => ({
        model: { breaker: new ModelBreaker(config), underWay: [], now: clock.now() },
        real: { breaker, clock, events, underWay: [] },
      });
      await fc.asyncModelRun(setup, steps);
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 300 },
  );
});
