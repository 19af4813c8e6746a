import { AsyncLocalStorage } from 'node:async_hooks';
import { describe, expect, test, vi } from 'vitest';
import { AttemptTimeoutError } from '../../../src/resilience/deadline/errors.js';
import { ConnectError, ConnectionLostError, StreamRefusedError } from '../../../src/client/transport/errors.js';
import { type Body, BytesBody, StreamBody } from '../../../src/core/body.js';
import type { Call, CallInit } from '../../../src/core/call.js';
import { Deadlines } from '../../../src/core/deadlines.js';
import { withAmbient } from '../../../src/core/ambient.js';
import { CancelledError, RequestBodyError } from '../../../src/core/errors.js';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import { DEFAULT_HEDGE, DEFAULT_RETRY, type HedgeConfig, type RetryConfig } from '../../../src/core/model/route.js';
import { seededRandom } from '../../../src/core/random.js';
import { hedge } from '../../../src/resilience/hedge/hedge.js';
import { Latencies } from '../../../src/resilience/hedge/latencies.js';
import { CircuitOpenError } from '../../../src/resilience/concurrency/circuit-limits.js';
import { judgement } from '../../../src/resilience/retry/judgement.js';
import { anyHeader } from '../../../src/routing/match/any-header.js';
import { aCall, aReply, OpenReply } from '../../support/calls.js';
import { FakeClock } from '../../support/fake-clock.js';
import { waiting } from '../../support/in-flight.js';

const lost = () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe');

interface Setup {
  readonly retry?: Partial<RetryConfig>;
  readonly budget?: boolean;
  readonly extra?: boolean;
  readonly places?: number;
  readonly budgeted?: boolean;
  readonly perTryTimeoutMs?: number;
}

/** A destination whose attempts the test answers; the first has 100 ms for itself. */
function setup(config: Partial<HedgeConfig> = {}, more: Setup = {}) {
  const { budget = true, extra = true, places = 10, budgeted = false, perTryTimeoutMs } = more;
  const clock = new FakeClock();
  const deadlines = new Deadlines(clock);
  const events: MeshEvent[] = [];
  const latencies = new Latencies(clock);
  const service = waiting();
  const counts = { places: 0, asked: 0, others: 0, extra: 0, refunded: 0 };
  const filter = hedge(
    { ...DEFAULT_HEDGE, delayMs: 100, ...config },
    {
      clock,
      deadlines,
      meter: { ...noMeter, event: (event) => events.push(event) },
      cluster: 'reviews',
      budget: {
        deposit() {},
        refund: () => {
          counts.refunded++;
        },
        tryWithdraw: () => {
          counts.asked++;
          return budget;
        },
      },
      extra: {
        deposit() {},
        refund: () => {
          counts.extra--;
        },
        balance: extra ? 1 : 0,
        tryWithdraw: () => {
          if (extra) counts.extra++;
          return extra;
        },
      },
      limits: {
        tryRetry: () => counts.places < places && ++counts.places > 0,
        retryDone: () => {
          counts.places--;
        },
        budgeted,
      },
      others: () => true,
      verdicts: judgement({ ...DEFAULT_RETRY, ...more.retry }, { clock, random: seededRandom(1), headers: anyHeader }),
      latencies,
      perTryTimeoutMs,
    },
    (next) => (call) => {
      counts.others++;
      return next(call);
    },
  );
  const send = filter(service);
  const run = (init: Partial<CallInit> = {}, prepare: (call: Call) => void = () => {}) => {
    const call = aCall(init);
    prepare(call);
    const state: { outcome: number | string | undefined; error?: unknown } = { outcome: undefined };
    send(call).then(
      (reply) => {
        state.outcome = reply.status;
      },
      (error: Error) => {
        state.outcome = error.name;
        state.error = error;
      },
    );
    return { call, state };
  };
  return { clock, deadlines, events, latencies, service, counts, run, attempts: service.attempts };
}

const kinds = (events: readonly MeshEvent[]): string[] => events.map(({ kind }) => kind);

describe('a hedged call', () => {
  test('that is answered in time is sent once', async () => {
    const { run, attempts, clock, counts } = setup();
    const { state } = run();
    await clock.advance(99);
    attempts[0]?.answer(aReply());
    await clock.advance(1_000);
    expect(state.outcome).toBe(200);
    expect(attempts).toHaveLength(1);
    expect(counts).toEqual({ places: 0, asked: 0, others: 0, extra: 0, refunded: 0 });
  });

  test('that is slow is sent again elsewhere, and the first good answer wins: the other attempt is cancelled', async () => {
    const { run, attempts, clock, events, counts } = setup();
    const { state, call } = run();
    await clock.advance(104);
    expect(attempts).toHaveLength(2);
    const [first, second] = attempts;
    expect(second?.call.tried).toEqual(['10.0.0.1:80']);
    expect(second?.call.headers).toMatchObject({ 'x-envoy-attempt-count': '2', 'inmesh-retry': '1' });
    expect(first?.call.headers).not.toHaveProperty('inmesh-retry');
    second?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    expect(first?.open).toBe(false);
    expect(first?.call.cancellation.reason).toBeInstanceOf(CancelledError);
    expect(call.cancellation.cancelled).toBe(false);
    expect(call.record).toMatchObject({ attempts: 2, endpoint: '10.0.0.2:80', flags: undefined });
    expect(kinds(events)).toEqual(['hedge']);
    expect(counts.places).toBe(0);
  });

  test('whose first attempt answers after all has what that one wrote down', async () => {
    const { run, attempts, clock } = setup();
    const { state, call } = run();
    await clock.advance(104);
    attempts[0]?.answer(aReply(404));
    await clock.advance(0);
    expect(state.outcome).toBe(404);
    expect(attempts[1]?.open).toBe(false);
    expect(call.record).toMatchObject({ attempts: 2, endpoint: '10.0.0.1:80' });
  });

  test('is sent at most maxAttempts times, one after each delay', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 3 });
    run();
    await clock.advance(104);
    expect(attempts).toHaveLength(2);
    await clock.advance(104);
    expect(attempts).toHaveLength(3);
    await clock.advance(1_000);
    expect(attempts).toHaveLength(3);
  });

  test('leaves no timer and no place behind, whatever became of it', async () => {
    const { run, attempts, clock, counts, deadlines } = setup({ maxAttempts: 3 });
    const { call } = run();
    await clock.advance(104);
    call.cancel(new CancelledError('gone'));
    await clock.advance(0);
    expect(attempts.map(({ open }) => open)).toEqual([false, false]);
    expect(counts.places).toBe(0);
    await clock.advance(1_000);
    expect(attempts).toHaveLength(2);
    deadlines.close();
    expect(clock.pending).toBe(0);
  });

  test('that its caller gives up between two attempts ends at once', async () => {
    const { run, attempts, clock } = setup({ delayMs: 60_000 }, { retry: { baseMs: 1_000, maxMs: 1_000 } });
    const { state, call } = run();
    attempts[0]?.answer(lost());
    await clock.advance(0);
    call.cancel(new CancelledError('gone'));
    await clock.advance(0);
    expect(state.outcome).toBe('CancelledError');
    await clock.advance(2_000);
    expect(attempts).toHaveLength(1);
  });

  test('that was cancelled before it began is not sent', async () => {
    const { run, attempts, clock } = setup();
    const { state } = run({}, (call) => call.cancel(new CancelledError('gone')));
    await clock.advance(200);
    expect(attempts).toHaveLength(0);
    expect(state.outcome).toBe('CancelledError');
  });

  test('passes a cancellation on to the attempt whose reply is being read', async () => {
    const { run, attempts, clock } = setup();
    const { call } = run();
    attempts[0]?.answer(new OpenReply());
    await clock.advance(0);
    call.cancel(new CancelledError('gone'));
    expect(attempts[0]?.call.cancellation.reason?.message).toBe('gone');
  });
});

describe('a failed attempt of a hedged call', () => {
  test('is followed by the next after the back-off, not only after the delay, and the retry budget pays alone', async () => {
    const { run, attempts, clock, events } = setup({}, { extra: false });
    const { state } = run();
    attempts[0]?.answer(aReply(503));
    await clock.advance(30);
    expect(attempts).toHaveLength(2);
    attempts[1]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    expect(events).toEqual([{ kind: 'retry', cluster: 'reviews', reason: 'gateway-error' }]);
  });

  test('does not end the call while another is under way', async () => {
    const { run, attempts, clock } = setup();
    const { state } = run();
    await clock.advance(104);
    attempts[1]?.answer(lost());
    await clock.advance(50);
    expect(state.outcome).toBeUndefined();
    attempts[0]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
  });

  test('stands when it is the last: the last failure is what the caller gets', async () => {
    const { run, attempts, clock, counts } = setup();
    const { state, call } = run();
    await clock.advance(104);
    attempts[0]?.answer(aReply(502));
    attempts[1]?.answer(aReply(503));
    await clock.advance(300);
    expect(state.outcome).toBe(503);
    expect(call.record.flags).toEqual(['URX']);
    expect(counts.places).toBe(0);
  });

  test('that was lost may have arrived, and the caller is told so when the attempt after it could not connect', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 2 });
    const { state } = run({ method: 'POST', idempotent: true });
    attempts[0]?.answer(lost());
    await clock.advance(100);
    attempts[1]?.answer(new ConnectError('10.0.0.2:80', 'ECONNREFUSED'));
    await clock.advance(0);
    expect(state.error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'maybe' });
  });

  test('that was answered has arrived, and the caller is told so when the attempt after it could not connect', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 2 });
    const { state } = run();
    attempts[0]?.answer(aReply(503));
    await clock.advance(100);
    attempts[1]?.answer(new ConnectError('10.0.0.2:80', 'ECONNREFUSED'));
    await clock.advance(0);
    expect(state.error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'yes' });
  });

  test('that none after it would better waits for those under way, and is followed by no other', async () => {
    const { run, attempts, clock, counts } = setup({ maxAttempts: 3 });
    const { state, call } = run();
    await clock.advance(104);
    attempts[1]?.answer(aReply(500));
    await clock.advance(500);
    expect(state.outcome).toBeUndefined();
    expect(attempts.map(({ open }) => open)).toEqual([true, false]);
    attempts[0]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    expect(call.record.endpoint).toBe('10.0.0.1:80');
    expect(counts.places).toBe(0);
  });

  test('that none after it would better ends the call when no other is under way', async () => {
    const { run, attempts, clock } = setup();
    const { state } = run();
    await clock.advance(104);
    attempts[1]?.answer(aReply(500));
    attempts[0]?.answer(aReply(501));
    await clock.advance(0);
    expect(state.outcome).toBe(501);
  });

  test('that the caller brought about ends the call at once', async () => {
    const { run, attempts, clock } = setup();
    const { state } = run();
    await clock.advance(104);
    attempts[1]?.answer(new RequestBodyError('the upload broke off'));
    await clock.advance(0);
    expect(state.outcome).toBe('RequestBodyError');
    expect(attempts[0]?.open).toBe(false);
  });

  test('lets go of its reply when the call is cancelled before the next', async () => {
    const { run, attempts, clock } = setup({ delayMs: 10_000 });
    const { state, call } = run();
    const body = new StreamBody({ resume() {}, cancel() {} });
    const piped = vi.spyOn(body, 'pipe');
    attempts[0]?.answer(Object.assign(new OpenReply(503), { body }));
    await clock.advance(0);
    expect(piped).not.toHaveBeenCalled();
    call.cancel(new CancelledError('gone'));
    await clock.advance(0);
    expect(state.outcome).toBe('CancelledError');
    expect(piped).toHaveBeenCalledOnce();
  });

  test('that its server did not look at is made up for at once and once, by no budget (gRFC A6)', async () => {
    const refused = () => new StreamRefusedError('10.0.0.1:80', 'REFUSED_STREAM');
    const { run, attempts, clock, counts } = setup({}, { budget: false, retry: { on: new Set() } });
    const { state } = run();
    attempts[0]?.answer(refused());
    await clock.advance(0);
    expect(attempts).toHaveLength(2);
    expect(attempts[1]?.call.headers).not.toHaveProperty('inmesh-retry');
    attempts[1]?.answer(refused());
    await clock.advance(300);
    expect(state.outcome).toBe('StreamRefusedError');
    expect({ attempts: attempts.length, ...counts }).toMatchObject({ attempts: 2, places: 0 });
  });

  test('by a per-try timeout is followed by another', async () => {
    const { run, attempts, clock } = setup({ delayMs: 10_000 }, { retry: { perTryTimeoutMs: 50 } });
    const { state } = run();
    attempts[0]?.answer(lost());
    await clock.advance(30);
    attempts[1]?.answer(new AttemptTimeoutError(50) as never);
    await clock.advance(300);
    expect(state.outcome).toBe('AttemptTimeoutError');
    expect(attempts).toHaveLength(2);
  });
});

describe('an attempt of a hedged call that we refuse ourselves', () => {
  const refused = () => new CircuitOpenError('reviews', 'max_requests', 3);

  test('does not end the one under way, and is followed by no other', async () => {
    const { run, attempts, clock, counts } = setup({ maxAttempts: 3 });
    const { state, call } = run();
    await clock.advance(104);
    attempts[1]?.answer(refused());
    await clock.advance(500);
    expect(state.outcome).toBeUndefined();
    expect(attempts.map(({ open }) => open)).toEqual([true, false]);
    attempts[0]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    expect(call.record).toMatchObject({ endpoint: '10.0.0.1:80', flags: undefined });
    expect(counts.places).toBe(0);
  });

  test('costs no budget, since it loads nobody', async () => {
    const { run, attempts, clock, counts } = setup({ maxAttempts: 3 });
    run();
    await clock.advance(104);
    expect(counts).toMatchObject({ asked: 1, extra: 1, refunded: 0 });
    attempts[1]?.answer(refused());
    await clock.advance(0);
    expect(counts).toMatchObject({ extra: 0, refunded: 1 });
  });

  test('costs no budget when it followed one that failed', async () => {
    const { run, attempts, clock, counts } = setup();
    run();
    attempts[0]?.answer(aReply(503));
    await clock.advance(50);
    attempts[1]?.answer(refused());
    await clock.advance(0);
    expect(counts).toMatchObject({ asked: 1, extra: 0, refunded: 1 });
  });

  test('leaves the failure of the other as it is', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 3 });
    const { state } = run();
    await clock.advance(104);
    attempts[1]?.answer(refused());
    attempts[0]?.answer(aReply(503));
    await clock.advance(300);
    expect(state.outcome).toBe(503);
    expect(attempts).toHaveLength(2);
  });

  test('ends the call with what a server said before', async () => {
    const { run, attempts, clock } = setup();
    const { state } = run();
    await clock.advance(104);
    attempts[0]?.answer(aReply(500));
    await clock.advance(0);
    attempts[1]?.answer(refused());
    await clock.advance(0);
    expect(state.outcome).toBe(500);
  });

  test('ends the call when it is the only one, though its status is named as not fatal', async () => {
    const { run, attempts, clock } = setup({ nonFatalStatuses: new Set([14]) });
    const { state } = run({ protocol: 'grpc', method: 'POST', idempotent: true });
    attempts[0]?.answer(refused());
    await clock.advance(500);
    expect(state.outcome).toBe('CircuitOpenError');
    expect(attempts).toHaveLength(1);
  });
});

describe('hedging of gRPC', () => {
  const grpc = { protocol: 'grpc', method: 'POST', idempotent: true } as const;
  const status = (code: number, pushback?: string) =>
    aReply(200, {
      'grpc-status': String(code),
      ...(pushback === undefined ? {} : { 'grpc-retry-pushback-ms': pushback }),
    });

  test('goes on at once after a status that is named as not fatal (A6)', async () => {
    const { run, attempts, clock } = setup({ nonFatalStatuses: new Set([10]) });
    run(grpc);
    attempts[0]?.answer(status(10));
    await clock.advance(4);
    expect(attempts).toHaveLength(2);
    expect(attempts[1]?.call.headers['grpc-previous-rpc-attempts']).toBe('1');
  });

  test('ends with any other status, though the retry policy would try again (A6)', async () => {
    const { run, attempts, clock } = setup({ nonFatalStatuses: new Set([10]) });
    const { state } = run(grpc);
    await clock.advance(104);
    attempts[0]?.answer(status(14));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    expect(attempts[1]?.open).toBe(false);
  });

  test('takes the first good status where none is named: one that tells of a failure waits', async () => {
    const { run, attempts, clock } = setup();
    const { state, call } = run(grpc);
    await clock.advance(104);
    attempts[1]?.answer(status(13));
    await clock.advance(0);
    expect(state.outcome).toBeUndefined();
    attempts[0]?.answer(status(5));
    await clock.advance(0);
    expect(call.record.endpoint).toBe('10.0.0.1:80');
  });

  test('waits as long as the server pushes back, not for the delay (A6)', async () => {
    const { run, attempts, clock } = setup({ nonFatalStatuses: new Set([14]) });
    run(grpc);
    attempts[0]?.answer(status(14, '400'));
    await clock.advance(399);
    expect(attempts).toHaveLength(1);
    await clock.advance(5);
    expect(attempts).toHaveLength(2);
  });

  test('sends no more attempts when the server pushes back for good, and waits for those under way (A6)', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 4, nonFatalStatuses: new Set([14]) });
    const { state } = run(grpc);
    await clock.advance(104);
    attempts[0]?.answer(status(14, '-1'));
    await clock.advance(1_000);
    expect(attempts).toHaveLength(2);
    expect(state.outcome).toBeUndefined();
    attempts[1]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
  });
});

describe('what may be hedged', () => {
  test.each<[string, Partial<CallInit>, number]>([
    ['a GET', {}, 0],
    ['a POST', { method: 'POST' }, 1],
    ['a POST that the application calls idempotent', { method: 'POST', idempotent: true }, 0],
    ['a gRPC call of which nothing is said', { protocol: 'grpc', method: 'POST' }, 1],
    ['a call made for a request that a proxy passes on as a repetition', { headers: { 'inmesh-retry': '1' } }, 1],
  ])('%s', (_, init, others) => {
    const { run, counts } = setup();
    run(init);
    expect(counts.others).toBe(others);
  });

  test('any method where the retry policy says so', () => {
    const { run, counts } = setup({}, { retry: { regardlessOfMethod: true } });
    run({ method: 'POST' });
    expect(counts.others).toBe(0);
  });

  test('nothing that is called while a repetition is served', () => {
    const { run, counts } = setup();
    const context = {
      deadline: Number.POSITIVE_INFINITY,
      cancellation: undefined,
      traceparent: undefined,
      tracestate: undefined,
      baggage: undefined,
      retried: true,
    };
    withAmbient(context, () => run());
    expect(counts.others).toBe(1);
  });
});

describe('a hedge', () => {
  test('goes out in the async context of its call, whoever armed the timer', async () => {
    const seen: unknown[] = [];
    const contexts = new AsyncLocalStorage<string>();
    const { run, attempts, clock } = setup();
    for (const user of ['alice', 'bob']) contexts.run(user, () => run({ path: `/${user}` }));
    const push = attempts.push.bind(attempts);
    attempts.push = (attempt) => {
      seen.push([attempt.call.path, attempt.call.attempt, contexts.getStore()]);
      return push(attempt);
    };
    await contexts.run('somebody else', () => clock.advance(104));
    expect(seen).toEqual([
      ['/alice', 2, 'alice'],
      ['/bob', 2, 'bob'],
    ]);
  });
});

describe('what hedging may cost', () => {
  test('no attempt beside another when its share of extra load is used up', async () => {
    const { run, attempts, clock, counts } = setup({}, { extra: false });
    const { state } = run();
    await clock.advance(500);
    expect(attempts).toHaveLength(1);
    expect(counts).toMatchObject({ places: 0, asked: 0 });
    attempts[0]?.answer(aReply());
    await clock.advance(0);
    expect(state.outcome).toBe(200);
  });

  test('no attempt when the budget that it shares with retries is spent', async () => {
    const { run, attempts, clock, events, counts } = setup({}, { budget: false });
    run();
    await clock.advance(500);
    expect(attempts).toHaveLength(1);
    expect(kinds(events)).toEqual(['retry:budget-spent']);
    // What was not sent is no extra load.
    expect(counts.extra).toBe(0);
  });

  test('no attempt beyond the cluster’s max_retries', async () => {
    const { run, attempts, clock } = setup({}, { places: 1 });
    run();
    run();
    await clock.advance(500);
    expect(attempts).toHaveLength(3);
  });

  test('nothing of the budget where Envoy’s budget of active requests is configured', async () => {
    const { run, attempts, clock, counts } = setup({}, { budget: false, budgeted: true });
    run();
    await clock.advance(104);
    expect(attempts).toHaveLength(2);
    expect(counts.asked).toBe(0);
  });

  test('no attempt that the deadline would cut off before it is sent', async () => {
    const { run, attempts, clock } = setup();
    run({}, (call) => {
      call.deadline = clock.now() + 50;
    });
    await clock.advance(500);
    expect(attempts).toHaveLength(1);
  });
});

describe('the delay', () => {
  test('is the live p95 once 100 calls were seen in 10 s, and before there is none', async () => {
    const { run, attempts, clock, latencies } = setup({ delayMs: undefined });
    run();
    await clock.advance(1_000);
    expect(attempts).toHaveLength(1);
    for (let i = 1; i <= 100; i++) latencies.record(i);
    run();
    await clock.advance(94);
    expect(attempts).toHaveLength(2);
    // A bucket is at most a tenth too wide, and a deadline 4 ms late.
    await clock.advance(15);
    expect(attempts).toHaveLength(3);
  });

  test('is the per-try timeout where Envoy’s hedge_on_per_try_timeout is set', async () => {
    const { run, attempts, clock } = setup({ onPerTryTimeout: true, delayMs: 1 }, { perTryTimeoutMs: 250 });
    run();
    await clock.advance(249);
    expect(attempts).toHaveLength(1);
    await clock.advance(5);
    expect(attempts).toHaveLength(2);
    expect(attempts[0]?.open).toBe(true);
  });

  test('is learnt from first attempts; one that was overtaken took at least as long as it ran', async () => {
    const { run, attempts, clock, latencies } = setup();
    run();
    await clock.advance(104);
    attempts[1]?.answer(aReply());
    await clock.advance(0);
    expect(latencies.size).toBe(1);
    for (let i = 0; i < 99; i++) latencies.record(1);
    expect(latencies.percentile(0.999)).toBeGreaterThanOrEqual(104);
  });
});

describe('the body of a hedged call', () => {
  const read = (attempt: { readonly call: { readonly body: Body | undefined } } | undefined, room = true) => {
    const seen = { text: '', ended: false, failed: false };
    const flow = attempt?.call.body?.pipe({
      write: (chunk) => {
        seen.text += Buffer.from(chunk).toString();
        return room;
      },
      end: () => {
        seen.ended = true;
      },
      fail: () => {
        seen.failed = true;
      },
    });
    return { seen, flow };
  };

  test('of bytes is sent by each attempt', async () => {
    const { run, attempts, clock } = setup();
    run({ method: 'PUT', body: new BytesBody(Buffer.from('abc')) });
    await clock.advance(104);
    expect(attempts.map((attempt) => read(attempt).seen.text)).toEqual(['abc', 'abc']);
  });

  test('that is streamed reaches both attempts whole, each at its own pace', async () => {
    const { run, attempts, clock } = setup();
    const body = new StreamBody({ resume() {}, cancel() {} });
    const { state } = run({ method: 'PUT', body });
    body.write(Buffer.from('one '));
    const first = read(attempts[0], false);
    await clock.advance(104);
    const second = read(attempts[1]);
    body.write(Buffer.from('two'));
    body.end();
    expect(second.seen).toEqual({ text: 'one two', ended: true, failed: false });
    expect(first.seen.text).toBe('one ');
    attempts[1]?.answer(aReply());
    await clock.advance(0);
    expect(state.outcome).toBe(200);
    first.flow?.resume();
    expect(first.seen).toEqual({ text: 'one ', ended: false, failed: false });
  });

  test('that grows beyond 64 KiB binds the call to the attempt that has read most', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 3 });
    const body = new StreamBody({ resume() {}, cancel() {} });
    run({ method: 'PUT', body });
    const first = read(attempts[0], false);
    body.write(Buffer.alloc(60_000, 'a'));
    await clock.advance(104);
    const second = read(attempts[1]);
    body.write(Buffer.alloc(6_000, 'b'));
    expect(second.seen.text).toHaveLength(66_000);
    expect(attempts[0]?.open).toBe(false);
    expect(attempts[1]?.open).toBe(true);
    await clock.advance(1_000);
    expect(attempts).toHaveLength(2);
    body.write(Buffer.alloc(6_000, 'c'));
    body.end();
    expect(second.seen).toMatchObject({ ended: true });
    expect(second.seen.text).toHaveLength(72_000);
    expect(first.seen.text).toHaveLength(60_000);
  });

  test('goes on with the next attempt when it grows beyond 64 KiB after one has failed early', async () => {
    const { run, attempts, clock } = setup({ maxAttempts: 3, delayMs: 10_000 });
    const body = new StreamBody({ resume() {}, cancel() {} });
    const { state } = run({ method: 'PUT', body });
    const first = read(attempts[0]);
    body.write(Buffer.alloc(10_000));
    attempts[0]?.answer(aReply(503));
    await clock.advance(30);
    const second = read(attempts[1]);
    for (let i = 0; i < 8; i++) body.write(Buffer.alloc(10_000));
    body.end();
    expect(first.seen.text).toHaveLength(10_000);
    expect(second.seen).toMatchObject({ ended: true });
    expect(second.seen.text).toHaveLength(90_000);
    attempts[1]?.answer(aReply(200));
    await clock.advance(0);
    expect(state.outcome).toBe(200);
  });

  test('goes on with the attempt that has failed when its reply stands after all', async () => {
    const { run, attempts, clock } = setup({ delayMs: 10_000 }, { budget: false });
    const body = new StreamBody({ resume() {}, cancel() {} });
    const { state } = run({ method: 'PUT', body });
    const first = read(attempts[0]);
    body.write(Buffer.from('one '));
    attempts[0]?.answer(aReply(503));
    await clock.advance(0);
    body.write(Buffer.from('two '));
    expect(first.seen.text).toBe('one ');
    await clock.advance(300);
    expect(state.outcome).toBe(503);
    body.write(Buffer.from('three'));
    body.end();
    expect(first.seen).toEqual({ text: 'one two three', ended: true, failed: false });
  });

  test('that is bound to an attempt is read on when that one answers early that it failed', async () => {
    const { run, attempts, clock } = setup();
    const body = new StreamBody({ resume() {}, cancel() {} });
    const { state } = run({ method: 'PUT', body });
    const first = read(attempts[0]);
    body.write(Buffer.alloc(70_000));
    attempts[0]?.answer(aReply(503));
    await clock.advance(0);
    expect(state.outcome).toBe(503);
    body.write(Buffer.alloc(10_000));
    body.end();
    expect(first.seen).toMatchObject({ ended: true });
    expect(first.seen.text).toHaveLength(80_000);
  });

  test('that is bound to an attempt is not sent again, though its server did not look at it', async () => {
    const { run, attempts, clock } = setup();
    const body = new StreamBody({ resume() {}, cancel() {} });
    const { state } = run({ method: 'PUT', body });
    read(attempts[0]);
    body.write(Buffer.alloc(70_000));
    attempts[0]?.answer(new StreamRefusedError('10.0.0.1:80', 'REFUSED_STREAM'));
    await clock.advance(300);
    expect(attempts).toHaveLength(1);
    expect(state.outcome).toBe('StreamRefusedError');
  });

  test('is given up when every attempt has failed', async () => {
    let cancelled = 0;
    const body = new StreamBody({ resume() {}, cancel: () => cancelled++ });
    const { run, attempts, clock } = setup({}, { budget: false });
    const { state } = run({ method: 'PUT', body });
    read(attempts[0]);
    attempts[0]?.answer(lost());
    await clock.advance(300);
    expect(state.outcome).toBe('ConnectionLostError');
    expect(cancelled).toBe(1);
  });
});
