import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { ConnectionLostError, StreamRefusedError } from '../../src/client/transport/errors.js';
import type { Call } from '../../src/core/call.js';
import { CancelledError, type MeshError } from '../../src/core/errors.js';
import { noMeter } from '../../src/core/meter.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY } from '../../src/core/model/route.js';
import type { Reply } from '../../src/core/reply.js';
import { CircuitLimits } from '../../src/resilience/concurrency/circuit-limits.js';
import { RetryBudget } from '../../src/resilience/retry/budget.js';
import { retry } from '../../src/resilience/retry/retry.js';
import { anyHeader } from '../../src/routing/match/any-header.js';
import { aCall, aReply } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';
import { type InFlight, waiting } from '../support/in-flight.js';
import { ModelStep } from '../support/model-step.js';

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../src/resilience/retry/repeat.js'));

describe('the retry budget', () => {
  /** Every deposit and withdrawal since the start, with the tenth of `ttlMs` that it fell into. */
  interface Model {
    now: number;
    readonly entries: { slot: number; thousandths: number }[];
    /** When those were withdrawn that are not given back yet. */
    readonly withdrawn: number[];
  }
  interface Real {
    readonly clock: FakeClock;
    readonly budget: RetryBudget;
  }

  test('is, at every moment, the floor and what was put in in the last ten tenths, less what was taken out in the last eleven', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 0.05, 0.1, 0.2, 1, 2.5),
        fc.constantFrom(0, 1, 10),
        fc.constantFrom(1_000, 10_000, 60_000),
        fc.integer({ min: 0, max: 5_000 }),
        fc.commands(
          [
            fc.nat({ max: 20_000 }).map(
              (ms) =>
                new ModelStep<Model, Real>(`advance ${ms}`, async (model, { clock }) => {
                  model.now += ms;
                  await clock.advance(ms);
                }),
            ),
            fc.constant(0).map(() => deposit),
            fc.constant(0).map(() => withdraw),
            fc.constant(0).map(() => refund),
          ],
          { maxCommands: 100, size: '+1' },
        ),
        async (retryRatio, minRetriesPerSecond, ttlMs, startAt, commands) => {
          const reserve = Math.round((minRetriesPerSecond * ttlMs) / 1_000) * 1_000;
          config = { perDeposit: Math.round(retryRatio * 1_000), reserve, slotMs: ttlMs / 10 };
          await fc.asyncModelRun(() => {
            const clock = new FakeClock(startAt);
            const budget = new RetryBudget({ retryRatio, minRetriesPerSecond, ttlMs }, clock);
            return { model: { now: startAt, entries: [], withdrawn: [] }, real: { clock, budget } };
          }, commands);
        },
      ),
      { numRuns: 100 },
    );
  });

  let config = { perDeposit: 0, reserve: 0, slotMs: 1 };
  const slot = (model: Model): number => Math.floor(model.now / config.slotMs);
  const thousandths = (model: Model): number =>
    model.entries
      .filter((entry) => entry.slot > slot(model) - (entry.thousandths < 0 ? 11 : 10))
      .reduce((sum, entry) => sum + entry.thousandths, config.reserve);
  const agree = (model: Model, { budget }: Real): void =>
    expect(budget.balance).toBe(Math.max(0, Math.floor(thousandths(model) / 1_000)));
  const deposit = new ModelStep<Model, Real>('deposit', (model, real) => {
    real.budget.deposit();
    model.entries.push({ slot: slot(model), thousandths: config.perDeposit });
    agree(model, real);
  });
  const withdraw = new ModelStep<Model, Real>('withdraw', (model, real) => {
    const granted = thousandths(model) >= 1_000;
    expect(real.budget.tryWithdraw()).toBe(granted);
    if (granted) {
      model.entries.push({ slot: slot(model), thousandths: -1_000 });
      model.withdrawn.push(model.now);
    }
    agree(model, real);
  });
  /** Of the oldest: it may have been forgotten already. */
  const refund = new ModelStep<Model, Real>('refund', (model, real) => {
    const at = model.withdrawn.shift();
    if (at === undefined) return;
    real.budget.refund(at);
    const given = Math.floor(at / config.slotMs);
    const of = model.entries.findIndex((entry) => entry.slot === given && entry.thousandths < 0);
    model.entries.splice(of, 1);
    agree(model, real);
  });
});

describe('Envoy’s budget of active requests', () => {
  test('allows a share of the calls under way and waiting, in whole retries, and never less than the least', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(0, 0.1, 0.2, 0.29, 1),
        fc.nat({ max: 5 }),
        fc.array(fc.constantFrom('request', 'done', 'wait', 'waited', 'retry', 'retried'), { maxLength: 200 }),
        (share, minConcurrency, actions) => {
          const activeRetryBudget = { share, minConcurrency };
          const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRetries: 0, activeRetryBudget };
          const limits = new CircuitLimits('reviews', config, noMeter);
          let [requests, pending, retries] = [0, 0, 0];
          for (const action of actions) {
            if (action === 'request' && limits.tryRequest()) requests++;
            else if (action === 'done' && requests > 0) requests -= 1 + Number(limits.requestDone() ?? 0);
            else if (action === 'wait' && limits.tryWait()) pending++;
            else if (action === 'waited' && pending > 0) pending -= 1 + Number(limits.waited() ?? 0);
            else if (action === 'retried' && retries > 0) retries -= 1 + Number(limits.retryDone() ?? 0);
            else if (action === 'retry') {
              const allowed = retries < Math.max(Math.floor(share * (requests + pending)), minConcurrency);
              expect(limits.tryRetry()).toBe(allowed);
              if (allowed) retries++;
            }
          }
          expect(limits.budgeted).toBe(true);
        },
      ),
    );
  });

  test('refuses with its own name, and maxRetries does not count beside it', () => {
    const events: unknown[] = [];
    const config = { ...DEFAULT_CIRCUIT_LIMITS, maxRetries: 1, activeRetryBudget: { share: 0.2, minConcurrency: 2 } };
    const limits = new CircuitLimits('reviews', config, { ...noMeter, event: (event) => events.push(event) });
    expect([limits.tryRetry(), limits.tryRetry(), limits.tryRetry()]).toEqual([true, true, false]);
    expect(events).toEqual([{ kind: 'circuit:open', cluster: 'reviews', limit: 'retry_budget' }]);
  });
});

describe('the retry loop', () => {
  const MAX_RETRIES = 2;
  const BASE_MS = 20;

  /** One call as it is to be, in the plainest words. */
  interface Expected {
    state: 'running' | 'waiting' | 'over';
    /** Attempts made, and how many of them count. */
    attempts: number;
    counted: number;
    transparent: boolean;
    /** Holds a place for a retry. */
    place: boolean;
    dueAt: number;
    outcome: number | string | undefined;
  }
  interface Model {
    now: number;
    tokens: number;
    readonly calls: Expected[];
  }
  interface Sent {
    readonly call: Call;
    outcome: number | string | undefined;
  }
  interface Real {
    readonly clock: FakeClock;
    readonly sent: Sent[];
    readonly attempts: InFlight[];
    tokens: number;
    places: number;
    readonly send: (call: Call) => Promise<Reply>;
  }

  const make = (tokens: number): Real => {
    const clock = new FakeClock();
    const service = waiting();
    const real: Real = {
      clock,
      sent: [],
      attempts: service.attempts,
      tokens,
      places: 0,
      send: retry(
        { ...DEFAULT_RETRY, maxRetries: MAX_RETRIES, baseMs: BASE_MS, maxMs: 1_000 },
        {
          clock,
          // Half of what the back-off may be, always.
          random: { next: () => 0.5, int: () => 0 },
          meter: noMeter,
          cluster: 'reviews',
          budget: { deposit() {}, refund() {}, tryWithdraw: () => real.tokens > 0 && real.tokens-- > 0 },
          limits: {
            tryRetry: () => ++real.places > 0,
            retryDone: () => {
              real.places--;
            },
          },
          headers: anyHeader,
        },
      )(service),
    };
    return real;
  };

  const ofCall = (real: Real, at: number): InFlight[] =>
    real.attempts.filter(({ call }) => call.record === real.sent[at]?.call.record);

  const agree = (model: Model, real: Real): void => {
    for (const [at, expected] of model.calls.entries()) {
      const attempts = ofCall(real, at);
      expect(attempts.length).toBe(expected.attempts);
      expect(attempts.filter(({ open }) => open).length).toBe(expected.state === 'running' ? 1 : 0);
      expect(real.sent[at]?.outcome).toBe(expected.outcome);
    }
    expect(real.tokens).toBe(model.tokens);
    expect(real.places).toBe(model.calls.filter(({ place }) => place).length);
  };

  const wake = (model: Model): void => {
    for (const call of model.calls) {
      if (call.state !== 'waiting' || call.dueAt > model.now) continue;
      call.state = 'running';
      call.attempts++;
    }
  };

  const begin = new ModelStep<Model, Real>('call', async (model, real) => {
    const call = aCall();
    const sent: Sent = { call, outcome: undefined };
    real.sent.push(sent);
    real.send(call).then(
      (reply) => {
        sent.outcome = reply.status;
      },
      (error: Error) => {
        sent.outcome = error.name;
      },
    );
    await real.clock.advance(0);
    const none = { attempts: 1, counted: 1, transparent: false, place: false, dueAt: 0, outcome: undefined };
    model.calls.push({ state: 'running', ...none });
    agree(model, real);
  });

  const advance = (ms: number) =>
    new ModelStep<Model, Real>(`advance ${ms}`, async (model, real) => {
      model.now += ms;
      wake(model);
      await real.clock.advance(ms);
      agree(model, real);
    });

  const OUTCOMES = {
    ok: () => aReply(200),
    'bad request': () => aReply(400),
    unavailable: () => aReply(503),
    lost: () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe'),
    unseen: () => new StreamRefusedError('10.0.0.1:80', 'REFUSED_STREAM'),
  } satisfies Record<string, () => Reply | MeshError>;

  const answer = (which: number, how: keyof typeof OUTCOMES) =>
    new ModelStep<Model, Real>(`answer ${which} ${how}`, async (model, real) => {
      const running = model.calls.filter(({ state }) => state === 'running');
      if (running.length === 0) return;
      const expected = running[which % running.length] as Expected;
      const outcome = OUTCOMES[how]();
      ofCall(real, model.calls.indexOf(expected)).at(-1)?.answer(outcome);
      await real.clock.advance(0);
      fail(model, expected, how, outcome instanceof Error ? outcome.name : outcome.status);
      agree(model, real);
    });

  const fail = (model: Model, call: Expected, how: keyof typeof OUTCOMES, outcome: number | string): void => {
    call.place = false;
    if (how === 'unseen' && !call.transparent) {
      call.transparent = true;
      call.attempts++;
      return;
    }
    const again = how !== 'ok' && how !== 'bad request' && call.counted <= MAX_RETRIES && model.tokens > 0;
    if (!again) {
      Object.assign(call, { state: 'over', outcome });
      return;
    }
    model.tokens--;
    call.place = true;
    call.state = 'waiting';
    call.dueAt = model.now + (BASE_MS * 2 ** (call.counted - 1)) / 2;
    call.counted++;
  };

  const cancel = (which: number) =>
    new ModelStep<Model, Real>(`cancel ${which}`, async (model, real) => {
      const at = which % Math.max(1, model.calls.length);
      const expected = model.calls[at];
      if (expected === undefined || expected.state === 'over') return;
      real.sent[at]?.call.cancel(new CancelledError());
      await real.clock.advance(0);
      Object.assign(expected, { state: 'over', outcome: 'CancelledError', place: false });
      agree(model, real);
    });

  test('does what its model does on any schedule, and leaves no timer and no place behind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 8 }),
        fc.commands(
          [
            fc.constant(begin),
            fc.nat({ max: 60 }).map(advance),
            fc
              .tuple(fc.nat(), fc.constantFrom(...(Object.keys(OUTCOMES) as (keyof typeof OUTCOMES)[])))
              .map(([which, how]) => answer(which, how)),
            fc.nat().map(cancel),
          ],
          { maxCommands: 60, size: '+1' },
        ),
        async (tokens, commands) => {
          const real = make(tokens);
          const model: Model = { now: real.clock.now(), tokens, calls: [] };
          await fc.asyncModelRun(() => ({ model, real }), commands);
          for (const { call } of real.sent) call.cancel(new CancelledError());
          await real.clock.advance(0);
          expect({ timers: real.clock.pending, places: real.places }).toEqual({ timers: 0, places: 0 });
        },
      ),
      { numRuns: 150 },
    );
  });
});
