import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionLostError } from '../../../src/client/transport/errors.js';
import type { Call } from '../../../src/core/call.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { noMeter } from '../../../src/core/meter.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { hedge } from '../../../src/resilience/hedge/hedge.js';
import { Latencies } from '../../../src/resilience/hedge/latencies.js';
import { judgement } from '../../../src/resilience/retry/judgement.js';
import { anyHeader } from '../../../src/routing/match/any-header.js';
import { aCall, aReply } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type InFlight, waiting } from '../../support/in-flight.js';
import { ModelStep } from '../../support/model-step.js';

// Deadlines fire at multiples of 4 ms: with all times such multiples, nothing is late.
const DELAY_MS = 100;
const BACKOFF_MS = 8;
const ATTEMPTS = 3;

/** One call as it is to be, in the plainest words. */
interface Expected {
  /** Numbers of the attempts under way. */
  running: number[];
  sent: number;
  /** Retry places held: one for each attempt after the first, until the call is over. */
  places: number;
  /** When the next attempt is to go out, and whether it replaces one that has failed; of those due at the same time the one set first goes first. */
  next: { at: number; failed: boolean; order: number } | undefined;
  refused: boolean;
  failure: number | string | undefined;
  outcome: number | string | undefined;
}

interface Model {
  now: number;
  budget: number;
  extra: number;
  order: number;
  readonly calls: Expected[];
}

interface Real {
  readonly clock: FakeClock;
  readonly deadlines: Deadlines;
  readonly sent: { readonly call: Call; outcome: number | string | undefined }[];
  readonly attempts: InFlight[];
  budget: number;
  extra: number;
  places: number;
  readonly send: (call: Call) => Promise<Reply>;
}

function make(budget: number, extra: number): Real {
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const service = waiting();
  const random = { next: () => 0.5, int: () => 0 };
  const policy = { ...DEFAULT_RETRY, baseMs: 2 * BACKOFF_MS, maxMs: 2 * BACKOFF_MS };
  const real: Real = {
    clock,
    deadlines,
    sent: [],
    attempts: service.attempts,
    budget,
    extra,
    places: 0,
    send: hedge(
      { ...DEFAULT_HEDGE, maxAttempts: ATTEMPTS, delayMs: DELAY_MS },
      {
        clock,
        deadlines,
        meter: noMeter,
        cluster: 'reviews',
        budget: { deposit() {}, tryWithdraw: () => real.budget > 0 && real.budget-- > 0 },
        extra: { deposit() {}, tryWithdraw: () => real.extra > 0 && real.extra-- > 0 },
        limits: {
          tryRetry: () => ++real.places > 0,
          retryDone: () => {
            real.places--;
          },
        },
        others: () => true,
        verdicts: judgement(policy, { clock, random, headers: anyHeader }),
        latencies: new Latencies(clock),
        perTryTimeoutMs: undefined,
      },
      (next) => next,
    )(service),
  };
  return real;
}

const ofCall = (real: Real, at: number): InFlight[] => {
  const { call } = real.sent[at] as { call: Call };
  return real.attempts.filter((attempt) => attempt.call.path === call.path);
};

function agree(model: Model, real: Real): void {
  for (const [at, expected] of model.calls.entries()) {
    const attempts = ofCall(real, at);
    const open = attempts.flatMap((attempt, i) => (attempt.open ? [i + 1] : []));
    expect({ sent: attempts.length, open, outcome: real.sent[at]?.outcome }).toEqual({
      sent: expected.sent,
      open: expected.running,
      outcome: expected.outcome,
    });
  }
  const places = model.calls.reduce((sum, call) => sum + call.places, 0);
  expect({ budget: real.budget, extra: real.extra, places: real.places }).toEqual({
    budget: model.budget,
    extra: model.extra,
    places,
  });
}

const over = (call: Expected, outcome: number | string | undefined): void => {
  Object.assign(call, { outcome, running: [], next: undefined, places: 0 });
};

/** The next attempt of a call goes out, if the budgets allow. */
function due(model: Model, call: Expected): void {
  const { at, failed } = call.next as NonNullable<Expected['next']>;
  call.next = undefined;
  if (failed || model.extra > 0) {
    if (!failed) model.extra--;
    if (model.budget > 0) {
      model.budget--;
      call.places++;
      call.running.push(++call.sent);
      if (call.sent < ATTEMPTS) call.next = { at: at + DELAY_MS, failed: false, order: model.order++ };
      return;
    }
  }
  if (failed) call.refused = true;
  if (call.running.length === 0 && call.failure !== undefined) over(call, call.failure);
}

const begin = new ModelStep<Model, Real>('call', async (model, real) => {
  const call = aCall({ path: `/${real.sent.length}` });
  const sent: Real['sent'][number] = { call, outcome: undefined };
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
  const next = { at: model.now + DELAY_MS, failed: false, order: model.order++ };
  const nothing = { places: 0, refused: false, failure: undefined, outcome: undefined };
  model.calls.push({ running: [1], sent: 1, next, ...nothing });
  agree(model, real);
});

const before = (a: NonNullable<Expected['next']>, b: NonNullable<Expected['next']>): boolean =>
  a.at < b.at || (a.at === b.at && a.order < b.order);

const advance = (ms: number) =>
  new ModelStep<Model, Real>(`advance ${ms}`, async (model, real) => {
    model.now += ms;
    for (;;) {
      let first: Expected | undefined;
      for (const call of model.calls) {
        if (call.next === undefined || call.next.at > model.now) continue;
        if (first?.next === undefined || before(call.next, first.next)) first = call;
      }
      if (first === undefined) break;
      due(model, first);
    }
    await real.clock.advance(ms);
    agree(model, real);
  });

const OUTCOMES = {
  ok: () => aReply(200),
  'not found': () => aReply(404),
  unavailable: () => aReply(503),
  lost: () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe'),
} satisfies Record<string, () => Reply | MeshError>;

const answer = (which: number, how: keyof typeof OUTCOMES) =>
  new ModelStep<Model, Real>(`answer ${which} ${how}`, async (model, real) => {
    const running = model.calls.flatMap((call, at) => call.running.map((number) => ({ call, at, number })));
    const chosen = running[which % Math.max(1, running.length)];
    if (chosen === undefined) return;
    const { call, at, number } = chosen;
    const outcome = OUTCOMES[how]();
    ofCall(real, at)[number - 1]?.answer(outcome);
    await real.clock.advance(0);
    const told = outcome instanceof Error ? outcome.name : outcome.status;
    if (how === 'ok' || how === 'not found') over(call, told);
    else {
      call.running = call.running.filter((other) => other !== number);
      call.failure = told;
      const soon = model.now + BACKOFF_MS;
      if (call.running.length === 0) call.next = undefined;
      if (!call.refused && call.sent < ATTEMPTS && (call.next === undefined || soon < call.next.at)) {
        call.next = { at: soon, failed: true, order: model.order++ };
      }
      if (call.running.length === 0 && call.next === undefined) over(call, told);
    }
    agree(model, real);
  });

const cancel = (which: number) =>
  new ModelStep<Model, Real>(`cancel ${which}`, async (model, real) => {
    const at = which % Math.max(1, model.calls.length);
    const expected = model.calls[at];
    if (expected === undefined || expected.outcome !== undefined) return;
    real.sent[at]?.call.cancel(new CancelledError());
    await real.clock.advance(0);
    over(expected, 'CancelledError');
    agree(model, real);
  });

describe('hedging', () => {
  test('does what its model does on any schedule, and leaves no attempt, timer or place behind', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 6 }),
        fc.nat({ max: 4 }),
        fc.commands(
          [
            fc.constant(begin),
            fc.nat({ max: 40 }).map((quarter) => advance(4 * quarter)),
            fc
              .tuple(fc.nat(), fc.constantFrom(...(Object.keys(OUTCOMES) as (keyof typeof OUTCOMES)[])))
              .map(([which, how]) => answer(which, how)),
            fc.nat().map(cancel),
          ],
          { maxCommands: 60, size: '+1' },
        ),
        async (budget, extra, commands) => {
          const real = make(budget, extra);
          const model: Model = { now: real.clock.now(), budget, extra, order: 0, calls: [] };
          await fc.asyncModelRun(() => ({ model, real }), commands);
          for (const { call } of real.sent) call.cancel(new CancelledError());
          await real.clock.advance(0);
          real.deadlines.close();
          const open = real.attempts.filter((attempt) => attempt.open).length;
          const left = { open, places: real.places, timers: real.clock.pending };
          // The rest of a reply that another replaces is given 100 ms; these replies have none.
          expect(left).toEqual({ open: 0, places: 0, timers: 0 });
        },
      ),
      { numRuns: 150 },
    );
  });
});
