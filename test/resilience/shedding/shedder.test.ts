import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Priority } from '../../../src/core/call.js';
import type { Limit } from '../../../src/resilience/shedding/limit.js';
import { BEAT_MS } from '../../../src/resilience/shedding/loop-lag.js';
import {
  DEFAULT_SHARES,
  type Ended,
  LoadShedder,
  Permit,
  type Shares,
} from '../../../src/resilience/shedding/shedder.js';
import { FakeClock } from '../../support/fake-clock.js';
import { LoopClock } from '../../support/loop-clock.js';
import { ModelStep } from '../../support/model-step.js';

/** A limit that is set, and hears what became of requests. */
class SetLimit implements Limit {
  readonly samples: { rttMs: number; inFlight: number; dropped: boolean }[] = [];
  constructor(public value: number) {}
  at(): number {
    return this.value;
  }
  sample(_startedAt: number, rttMs: number, inFlight: number, dropped: boolean): void {
    this.samples.push({ rttMs, inFlight, dropped });
  }
}

const UNWATCHED = Number.POSITIVE_INFINITY;
const shedder = (
  limit: number | Limit,
  { shares = DEFAULT_SHARES, maxLagMs = UNWATCHED, clock = new FakeClock() } = {},
) => new LoadShedder(typeof limit === 'number' ? new SetLimit(limit) : limit, { shares, maxLagMs }, clock);

/** Admits so many, and says how many got in. */
const fill = (of: LoadShedder, count: number, priority?: Priority): Permit[] =>
  Array.from({ length: count }, () => of.admit(priority)).filter((permit) => permit instanceof Permit);

describe('as many as the limit', () => {
  test('of one kind are let in, and one more for each that ends', () => {
    const full = shedder(20);
    const permits = fill(full, 30);
    expect(permits.length).toBe(20);
    expect(full.admit()).toBe('concurrency');
    permits[0]?.end('served');
    // Said twice is heard once.
    permits[0]?.end('left');
    expect([fill(full, 5).length, full.inFlight]).toEqual([1, 20]);
  });

  test('what is free anybody may have; when nothing is, each priority has its share all the same', () => {
    const full = shedder(20);
    expect(fill(full, 30, 'batch').length).toBe(20);
    expect(fill(full, 30, 'default').length).toBe(12);
    expect(fill(full, 30, 'high').length).toBe(6);
    expect(fill(full, 30, 'batch').length).toBe(0);
  });

  test('a share is one request at least', () => {
    const full = shedder(3);
    fill(full, 3, 'default');
    expect(fill(full, 3, 'batch').length).toBe(1);
  });
});

describe('the limit hears', () => {
  test('of each request that was served how long it took, and how many there were', async () => {
    const clock = new FakeClock();
    const limit = new SetLimit(5);
    const [first, second] = fill(shedder(limit, { clock }), 2);
    await clock.advance(10);
    first?.end('served');
    await clock.advance(20);
    second?.end('served');
    expect(limit.samples).toEqual([
      { rttMs: 10, inFlight: 1, dropped: false },
      { rttMs: 30, inFlight: 2, dropped: false },
    ]);
  });

  test('of callers who left after the usual time, not of those who left before', async () => {
    const clock = new FakeClock();
    const limit = new SetLimit(5);
    const [served, early, late] = fill(shedder(limit, { clock }), 3);
    await clock.advance(10);
    served?.end('served');
    early?.end('left');
    await clock.advance(1);
    late?.end('left');
    expect(limit.samples.slice(1)).toEqual([{ rttMs: 11, inFlight: 3, dropped: true }]);
  });

  test('of no request that failed, however long it took: what is usual stays what it was', async () => {
    const clock = new FakeClock();
    const limit = new SetLimit(9);
    const [served, fast, slow, left] = fill(shedder(limit, { clock }), 4);
    fast?.end('failed');
    await clock.advance(10);
    served?.end('served');
    await clock.advance(5);
    slow?.end('failed');
    left?.end('left');
    expect(limit.samples).toEqual([
      { rttMs: 10, inFlight: 1, dropped: false },
      { rttMs: 15, inFlight: 4, dropped: true },
    ]);
  });

  test('of nobody who left while it is not known what is usual', async () => {
    const clock = new FakeClock();
    const limit = new SetLimit(5);
    const [first] = fill(shedder(limit, { clock }), 1);
    await clock.advance(10_000);
    first?.end('left');
    expect(limit.samples).toEqual([]);
  });
});

describe('an event loop that is late', () => {
  const busy = (clock: LoopClock): LoadShedder =>
    new LoadShedder(new SetLimit(1_000), { shares: DEFAULT_SHARES, maxLagMs: 70 }, clock);
  /** A turn that computes for `ms`, with a request at its beginning. */
  function turn(clock: LoopClock, server: LoadShedder, ms: number): void {
    for (const permit of fill(server, 1)) permit.end('served');
    clock.time += ms;
  }

  test('for two turns refuses the least important first and the most important last', () => {
    const clock = new LoopClock();
    const server = busy(clock);
    const admits = (): Priority[] =>
      (['high', 'default', 'batch'] as const).filter((priority) => {
        const permit = server.admit(priority);
        if (permit instanceof Permit) permit.end('served');
        else expect(permit).toBe('event-loop');
        return permit instanceof Permit;
      });
    // The first turn is long, and nobody is refused in it: it may be a pause.
    turn(clock, server, 300);
    expect(admits()).toEqual(['high', 'default', 'batch']);
    clock.runTimers();
    // In the second one time goes by: its timer is due after 10 ms.
    for (const [ms, admitted] of [
      [BEAT_MS + 35, ['high', 'default', 'batch']],
      [1, ['high', 'default']],
      [34, ['high', 'default']],
      [1, ['high']],
      [69, ['high']],
      [1, []],
    ] as const) {
      clock.time += ms;
      expect(admits()).toEqual(admitted);
    }
    // A turn that is over is over.
    clock.runTimers();
    expect(admits()).toEqual(['high', 'default', 'batch']);
  });

  test('once only, for garbage collection say, refuses nobody', () => {
    const clock = new LoopClock();
    const server = busy(clock);
    for (let i = 0; i < 5; i++) {
      turn(clock, server, 500);
      expect(fill(server, 3).length).toBe(3);
      clock.runTimers();
      turn(clock, server, 5);
      clock.time += BEAT_MS;
      clock.runTimers();
    }
  });

  test('is not watched while no requests come, and not after close', () => {
    const clock = new LoopClock();
    const server = busy(clock);
    expect(clock.pending).toBe(0);
    turn(clock, server, 1);
    expect(clock.pending).toBe(1);
    for (let i = 0; i < 2; i++) {
      clock.time += BEAT_MS;
      clock.runTimers();
    }
    expect(clock.pending).toBe(0);
    turn(clock, server, 1);
    server.close();
    expect(clock.pending).toBe(0);
  });
});

describe('permits', () => {
  interface Model {
    limit: number;
    now: number;
    readonly under: Record<Priority, number>;
    readonly open: { readonly permit: Permit; readonly priority: Priority }[];
  }
  interface Real {
    readonly clock: FakeClock;
    readonly limit: SetLimit;
    readonly shedder: LoadShedder;
  }
  let shares: Shares = DEFAULT_SHARES;
  const total = ({ under }: Model): number => under.high + under.default + under.batch;
  const agree = (model: Model, { shedder: real }: Real): void => {
    expect(real.inFlight).toBe(total(model));
    for (const priority of ['high', 'default', 'batch'] as const)
      expect(real.under(priority)).toBe(model.under[priority]);
  };
  const priorities = fc.constantFrom<Priority>('high', 'default', 'batch');

  test('let in no more than limit and shares allow, and each is given back once, however it ends', async () => {
    const steps = [
      priorities.map(
        (priority) =>
          new ModelStep<Model, Real>(`admit ${priority}`, (model, real) => {
            const room = total(model) < model.limit;
            const owed = model.under[priority] < Math.max(1, Math.ceil(model.limit * shares[priority]));
            const permit = real.shedder.admit(priority);
            expect(permit instanceof Permit).toBe(room || owed);
            if (permit instanceof Permit) {
              model.under[priority]++;
              model.open.push({ permit, priority });
            } else expect(permit).toBe('concurrency');
            agree(model, real);
          }),
      ),
      fc.tuple(fc.nat(), fc.constantFrom<Ended>('served', 'failed', 'left')).map(
        ([which, how]) =>
          new ModelStep<Model, Real>(`end ${which} ${how}`, (model, real) => {
            const [ended] = model.open.splice(which % Math.max(1, model.open.length), 1);
            if (ended === undefined) return;
            for (const again of [how, 'served', 'left'] as const) ended.permit.end(again);
            model.under[ended.priority]--;
            agree(model, real);
          }),
      ),
      fc.integer({ min: 1, max: 30 }).map(
        (limit) =>
          new ModelStep<Model, Real>(`limit ${limit}`, (model, real) => {
            model.limit = limit;
            real.limit.value = limit;
          }),
      ),
      fc.nat({ max: 100 }).map(
        (ms) =>
          new ModelStep<Model, Real>(`advance ${ms}`, async (_model, { clock }) => {
            await clock.advance(ms);
          }),
      ),
    ];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Shares>(
          DEFAULT_SHARES,
          { high: 0, default: 1, batch: 0 },
          { high: 0.2, default: 0.2, batch: 0.2 },
        ),
        fc.constantFrom(UNWATCHED, 1_000),
        fc.commands(steps, { maxCommands: 150, size: '+1' }),
        async (given, maxLagMs, commands) => {
          shares = given;
          let real: Real | undefined;
          await fc.asyncModelRun(() => {
            const clock = new FakeClock();
            const limit = new SetLimit(10);
            real = { clock, limit, shedder: shedder(limit, { shares, maxLagMs, clock }) };
            return { model: { limit: 10, now: 0, under: { high: 0, default: 0, batch: 0 }, open: [] }, real };
          }, commands);
          real?.shedder.close();
          expect(real?.clock.pending).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  test('of one priority alone are never more than the limit', () => {
    fc.assert(
      fc.property(
        priorities,
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.boolean(), { maxLength: 200 }),
        (one, limit, coming) => {
          const alone = shedder(limit);
          const open: Permit[] = [];
          for (const comes of coming) {
            if (comes) open.push(...fill(alone, 1, one));
            else open.shift()?.end('served');
            expect(alone.inFlight).toBe(open.length);
            expect(open.length).toBeLessThanOrEqual(limit);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});
