import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConnectionLostError } from '../../../src/client/transport/errors.js';
import { type BodySink, StreamBody } from '../../../src/core/body.js';
import type { Call } from '../../../src/core/call.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { CancelledError, type MeshError } from '../../../src/core/errors.js';
import { noMeter } from '../../../src/core/meter.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { CircuitOpenError } from '../../../src/resilience/concurrency/circuit-limits.js';
import { hedge } from '../../../src/resilience/hedge/hedge.js';
import { Latencies } from '../../../src/resilience/hedge/latencies.js';
import { judgement } from '../../../src/resilience/retry/judgement.js';
import { anyHeader } from '../../../src/routing/match/any-header.js';
import { aCall, OpenReply } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type InFlight, waiting } from '../../support/in-flight.js';
import { ModelStep } from '../../support/model-step.js';

// Deadlines fire at multiples of 4 ms: with all times such multiples, nothing is late.
const DELAY_MS = 100;
const BACKOFF_MS = 8;
const ATTEMPTS = 3;
/** Three of these are more than is kept for other attempts. */
const CHUNK_BYTES = 25_000;
const KEPT_CHUNKS = 2;

/** A streamed body as it is to be. Those who read it always have room. */
interface ExpectedBody {
  /** Chunks that the application wrote, and of these, those that wait because nobody reads. */
  written: number;
  held: number;
  ended: boolean;
  begun: boolean;
  /** The application was asked to wait. */
  paused: boolean;
  /** Attempts that read, in the order they began in; one that has failed does not, unless it stands. */
  readers: number[];
  /** Attempts that began to. */
  readonly met: Set<number>;
  bound: boolean;
}

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
  failure: { readonly told: number | string; readonly attempt: number } | undefined;
  readonly body: ExpectedBody | undefined;
  outcome: number | string | undefined;
}

interface Model {
  now: number;
  budget: number;
  extra: number;
  order: number;
  readonly calls: Expected[];
}

interface Sent {
  readonly call: Call;
  readonly body: StreamBody | undefined;
  /** What attempts have had of the body, by number. */
  readonly had: Map<number, { chunks: string; ended: boolean }>;
  outcome: number | string | undefined;
}

interface Real {
  readonly clock: FakeClock;
  readonly deadlines: Deadlines;
  readonly sent: Sent[];
  readonly attempts: InFlight[];
  /** Bodies of replies that nobody has got or let go of. */
  readonly unread: Set<StreamBody>;
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
    unread: new Set(),
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
        budget: { deposit() {}, refund() {}, tryWithdraw: () => real.budget > 0 && real.budget-- > 0 },
        extra: {
          deposit() {},
          refund() {},
          get balance() {
            return real.extra;
          },
          tryWithdraw: () => real.extra > 0 && real.extra-- > 0,
        },
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
  const { call } = real.sent[at] as Sent;
  return real.attempts.filter((attempt) => attempt.call.path === call.path);
};

/** Whoever reads has had all of it, in its order, and its end. */
function agreeOnBody(expected: ExpectedBody | undefined, { had }: Sent): void {
  if (expected === undefined) return;
  const all = Array.from({ length: expected.written }, (_, i) => String(i)).join();
  for (const number of expected.readers) expect(had.get(number)).toEqual({ chunks: all, ended: expected.ended });
}

function agree(model: Model, real: Real): void {
  for (const [at, expected] of model.calls.entries()) {
    const attempts = ofCall(real, at);
    const open = attempts.flatMap((attempt, i) => (attempt.open ? [i + 1] : []));
    expect({ sent: attempts.length, open, outcome: real.sent[at]?.outcome }).toEqual({
      sent: expected.sent,
      open: expected.running,
      outcome: expected.outcome,
    });
    agreeOnBody(expected.body, real.sent[at] as Sent);
  }
  const places = model.calls.reduce((sum, call) => sum + call.places, 0);
  expect({ budget: real.budget, extra: real.extra, places: real.places }).toEqual({
    budget: model.budget,
    extra: model.extra,
    places,
  });
}

/** Ends with this; `stands`: the attempt whose reply it is, which goes on with the body. */
const over = (call: Expected, outcome: number | string, stands?: number): void => {
  Object.assign(call, { outcome, running: [], next: undefined, places: 0 });
  const { body } = call;
  if (body === undefined) return;
  body.readers = stands !== undefined && body.met.has(stands) ? [stands] : [];
  if (body.readers.length > 0) deliver(call, body);
};

const overByFailure = (call: Expected): void => {
  const { told, attempt } = call.failure as NonNullable<Expected['failure']>;
  over(call, told, typeof told === 'number' ? attempt : undefined);
};

/** Chunks that wait go to who reads; with too many for others, the call goes on with the one that has read longest. */
function deliver(call: Expected, body: ExpectedBody): void {
  const due = body.held;
  body.held = 0;
  body.paused = false;
  if (due === 0 || call.outcome !== undefined || body.bound || body.written <= KEPT_CHUNKS) return;
  body.bound = true;
  body.readers = body.readers.slice(0, 1);
  call.running = [...body.readers];
  call.refused = true;
  call.next = undefined;
}

/** The next attempt of a call goes out, if the budgets allow. */
function due(model: Model, call: Expected): void {
  const { at, failed } = call.next as NonNullable<Expected['next']>;
  call.next = undefined;
  if ((failed || model.extra > 0) && model.budget > 0) {
    if (!failed) model.extra--;
    model.budget--;
    call.places++;
    call.running.push(++call.sent);
    if (call.sent < ATTEMPTS) call.next = { at: at + DELAY_MS, failed: false, order: model.order++ };
    return;
  }
  if (failed) call.refused = true;
  if (call.running.length === 0 && call.failure !== undefined) overByFailure(call);
}

const begin = (streamed: boolean) =>
  new ModelStep<Model, Real>(streamed ? 'upload' : 'call', async (model, real) => {
    const body = streamed ? new StreamBody({ resume() {}, cancel() {} }) : undefined;
    const call = aCall({ path: `/${real.sent.length}`, method: 'PUT', body });
    const sent: Sent = { call, body, had: new Map(), outcome: undefined };
    real.sent.push(sent);
    real.send(call).then(
      (reply) => {
        real.unread.delete(reply.body as StreamBody);
        sent.outcome = reply.status;
      },
      (error: Error) => {
        sent.outcome = error.name;
      },
    );
    await real.clock.advance(0);
    const next = { at: model.now + DELAY_MS, failed: false, order: model.order++ };
    const nothing = { places: 0, refused: false, failure: undefined, outcome: undefined };
    const nobody = { written: 0, held: 0, ended: false, begun: false, paused: false, bound: false };
    const expectedBody = streamed ? { ...nobody, readers: [], met: new Set<number>() } : undefined;
    model.calls.push({ running: [1], sent: 1, next, body: expectedBody, ...nothing });
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
  ok: () => new OpenReply(200),
  'not found': () => new OpenReply(404),
  // No reason for another attempt.
  broken: () => new OpenReply(500),
  unavailable: () => new OpenReply(503),
  refused: () => new CircuitOpenError('reviews', 'max_requests', 1),
  lost: () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe'),
} satisfies Record<string, () => Reply | MeshError>;

const answer = (which: number, how: keyof typeof OUTCOMES) =>
  new ModelStep<Model, Real>(`answer ${which} ${how}`, async (model, real) => {
    const running = model.calls.flatMap((call, at) => call.running.map((number) => ({ call, at, number })));
    const chosen = running[which % Math.max(1, running.length)];
    if (chosen === undefined) return;
    const { call, at, number } = chosen;
    // What we refuse ourselves never gets as far as its body.
    if (how === 'refused' && call.body?.met.has(number) === true) return;
    const outcome = withBody(real, OUTCOMES[how]());
    ofCall(real, at)[number - 1]?.answer(outcome);
    await real.clock.advance(0);
    const told = outcome instanceof Error ? outcome.name : outcome.status;
    const others = call.running.length > 1;
    const again = how === 'unavailable' || how === 'lost';
    if (how === 'ok' || how === 'not found' || (how === 'broken' && !others)) over(call, told, number);
    else if (how === 'refused' && !others && call.failure === undefined) over(call, told);
    else {
      call.running = call.running.filter((other) => other !== number);
      if (call.body !== undefined) call.body.readers = call.body.readers.filter((other) => other !== number);
      if (how !== 'refused') call.failure = { told, attempt: number };
      if (call.running.length === 0 || !again) call.next = undefined;
      if (!again) call.refused = true;
      const soon = model.now + BACKOFF_MS;
      if (!call.refused && call.sent < ATTEMPTS && (call.next === undefined || soon < call.next.at)) {
        call.next = { at: soon, failed: true, order: model.order++ };
      }
      if (call.running.length === 0 && call.next === undefined) overByFailure(call);
    }
    agree(model, real);
  });

/** Has it noticed when the reply's body is let go of. */
function withBody(real: Real, outcome: Reply | MeshError): Reply | MeshError {
  if (outcome instanceof Error) return outcome;
  const body = new StreamBody({ resume() {}, cancel: () => real.unread.delete(body) });
  real.unread.add(body);
  return Object.assign(outcome, { body });
}

/** The body of one of the calls that have one, as the transport of one of its attempts, or the application, has it. */
const upload = (name: string, which: number, step: (call: Expected, sent: Sent, attempts: InFlight[]) => void) =>
  new ModelStep<Model, Real>(`${name} ${which}`, async (model, real) => {
    const uploads = model.calls.flatMap((call, at) => (call.body === undefined ? [] : [{ call, at }]));
    const chosen = uploads[which % Math.max(1, uploads.length)];
    if (chosen === undefined) return;
    step(chosen.call, real.sent[chosen.at] as Sent, ofCall(real, chosen.at));
    await real.clock.advance(0);
    agree(model, real);
  });

const write = (which: number) =>
  upload('write', which, (call, { body }) => {
    const expected = call.body as ExpectedBody;
    if (expected.ended) return;
    const chunk = Buffer.alloc(CHUNK_BYTES, 'a');
    chunk.writeUInt32BE(expected.written++);
    body?.write(chunk);
    const kept = expected.begun && !expected.paused;
    expected.held++;
    if (expected.readers.length > 0) deliver(call, expected);
    else if (kept) {
      expected.held--;
      expected.paused = true;
    }
  });

const end = (which: number) =>
  upload('end', which, (call, { body }) => {
    (call.body as ExpectedBody).ended = true;
    body?.end();
  });

const read = (which: number, other: number) =>
  upload('read', which, (call, { had }, attempts) => {
    const expected = call.body as ExpectedBody;
    const number = call.running[other % Math.max(1, call.running.length)];
    if (number === undefined || expected.met.has(number)) return;
    const seen = { chunks: '', ended: false };
    had.set(number, seen);
    const sink: BodySink = {
      write(chunk) {
        seen.chunks += `${seen.chunks === '' ? '' : ','}${Buffer.from(chunk).readUInt32BE()}`;
        return true;
      },
      end() {
        seen.ended = true;
      },
      fail() {},
    };
    expected.met.add(number);
    expected.readers.push(number);
    expected.begun = true;
    deliver(call, expected);
    attempts[number - 1]?.call.body?.pipe(sink);
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

const STEPS = [
  fc.nat({ max: 40 }).map((quarter) => advance(4 * quarter)),
  fc
    .tuple(fc.nat(), fc.constantFrom(...(Object.keys(OUTCOMES) as (keyof typeof OUTCOMES)[])))
    .map(([which, how]) => answer(which, how)),
  fc.nat().map(cancel),
  fc.nat().map(write),
  fc.nat().map(end),
  fc.tuple(fc.nat(), fc.nat()).map(([which, other]) => read(which, other)),
];
const commands = (...more: fc.Arbitrary<ModelStep<Model, Real>>[]) =>
  fc.commands([...more, ...STEPS], { maxCommands: 60, size: '+1' });

describe('hedging', () => {
  test.each<[string, ReturnType<typeof commands>, boolean]>([
    ['any number of calls', commands(fc.boolean().map(begin)), false],
    [
      'one upload',
      commands(
        fc.nat().map(write),
        fc.tuple(fc.nat(), fc.nat()).map(([which, other]) => read(which, other)),
      ),
      true,
    ],
  ])(
    'of %s does what its model does on any schedule, and leaves no attempt, timer, place or reply behind',
    async (_, steps, one) => {
      await fc.assert(
        fc.asyncProperty(fc.nat({ max: 6 }), fc.nat({ max: 4 }), steps, async (budget, extra, run) => {
          const real = make(budget, extra);
          const model: Model = { now: real.clock.now(), budget, extra, order: 0, calls: [] };
          if (one) await begin(true).run(model, real);
          await fc.asyncModelRun(() => ({ model, real }), run);
          for (const { call } of real.sent) call.cancel(new CancelledError());
          // The rest of a reply that another replaces is given 100 ms.
          await real.clock.advance(100);
          real.deadlines.close();
          const open = real.attempts.filter((attempt) => attempt.open).length;
          const left = { open, places: real.places, timers: real.clock.pending, unread: real.unread.size };
          expect(left).toEqual({ open: 0, places: 0, timers: 0, unread: 0 });
        }),
        { numRuns: 150 },
      );
    },
  );
});
