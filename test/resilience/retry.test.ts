import { beforeAll, describe, expect, test } from 'vitest';
import { type BodySink, BytesBody, StreamBody } from '../../src/core/body.js';
import { CancelledError, type MeshError } from '../../src/core/errors.js';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { DEFAULT_RETRY, type RetryConfig } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import { stack } from '../../src/core/service.js';
import { ConnectError, ConnectionLostError, StreamRefusedError } from '../../src/client/transport/errors.js';
import { attemptTimeout } from '../../src/resilience/deadline/attempt-timeout.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { CircuitOpenError } from '../../src/resilience/concurrency/circuit-limits.js';
import { retry } from '../../src/resilience/retry/retry.js';
import { anyHeader } from '../../src/routing/match/any-header.js';
import { aCall, aReply, OpenReply, type Step, scripted } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

const lost = () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe');
const refused = () => new ConnectError('10.0.0.1:80', 'ECONNREFUSED');

function setup(config: Partial<RetryConfig>, steps: Step[], { budget = true, places = true } = {}) {
  const clock = new FakeClock();
  const events: MeshEvent[] = [];
  const service = scripted(...steps);
  let retries = 0;
  const filter = retry(
    { ...DEFAULT_RETRY, ...config },
    {
      clock,
      random: seededRandom(1),
      meter: { ...noMeter, event: (event) => events.push(event) },
      cluster: 'reviews',
      budget: { deposit() {}, refund() {}, tryWithdraw: () => budget },
      limits: {
        tryRetry: () => {
          if (places) retries++;
          return places;
        },
        retryDone: () => {
          retries--;
        },
      },
      headers: anyHeader,
    },
  );
  const deadlines = new Deadlines(clock);
  const timeout = attemptTimeout(config.perTryTimeoutMs, { clock, deadlines });
  const call = stack(timeout === undefined ? [filter] : [filter, timeout], service);
  /** Runs a call to its end, letting backoff pass. */
  const run = async (init: Parameters<typeof aCall>[0] = {}) => {
    const made = aCall(init);
    const outcome = call(made).then(
      (reply) => reply.status,
      (error: Error) => error.name,
    );
    for (let i = 0; i < 10; i++) await clock.advance(300);
    return { outcome: await outcome, call: made, retries };
  };
  return { run, service, events, clock, call };
}

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../src/resilience/retry/repeat.js'));

describe('retry', () => {
  test('an idempotent call that failed is tried again, on another endpoint than before', async () => {
    const { run, service, events } = setup({}, [
      (call) => {
        call.record.endpoint = '10.0.0.1:80';
        return Promise.reject(lost());
      },
      aReply(200),
    ]);
    const { outcome, call } = await run();
    expect(outcome).toBe(200);
    expect(call.record.attempts).toBe(2);
    expect(service.calls[1]?.tried).toEqual(['10.0.0.1:80']);
    expect(service.calls[1]?.headers['x-envoy-attempt-count']).toBe('2');
    expect(events.map((event) => event.kind)).toEqual(['retry']);
  });

  test('by default there is one retry, and the last outcome stands', async () => {
    const { run, service } = setup({}, [aReply(503), aReply(502), aReply(200)]);
    const { outcome, call } = await run();
    expect(outcome).toBe(502);
    expect(service.calls.length).toBe(2);
    expect(call.record.flags).toEqual(['URX']);
  });

  test.each([
    ['POST that may have reached the server', { method: 'POST' }, lost(), 1],
    [
      'POST that was refused by the server unseen',
      { method: 'POST' },
      new StreamRefusedError('10.0.0.1:80', 'REFUSED_STREAM'),
      2,
    ],
    ['POST that never left', { method: 'POST' }, refused(), 2],
    ['POST that the application calls idempotent', { method: 'POST', idempotent: true }, lost(), 2],
    ['GET that the application calls not idempotent', { method: 'GET', idempotent: false }, lost(), 1],
    ['PUT', { method: 'PUT' }, lost(), 2],
    ['gRPC call that may have reached the server', { protocol: 'grpc' as const, method: 'POST' }, lost(), 1],
    ['gRPC call that never left', { protocol: 'grpc' as const, method: 'POST' }, refused(), 2],
  ])('%s: attempts made', async (_name, init, failure, attempts) => {
    const { run, service } = setup({}, [failure, aReply(200)]);
    await run(init);
    expect(service.calls.length).toBe(attempts);
  });

  describe('the error of a call that was tried several times says whether any attempt reached the server', () => {
    const regardless = { regardlessOfMethod: true, maxRetries: 2 };
    const open = () => new CircuitOpenError('reviews', 'max_requests', 1);
    const failure = async (...steps: Step[]) => {
      const made = setup(regardless, steps);
      const call = aCall({ method: 'POST' });
      const outcome = made.call(call).catch((error: unknown) => error);
      for (let i = 0; i < 10; i++) await made.clock.advance(300);
      return (await outcome) as MeshError;
    };

    test('one that was lost, and a retry that could not connect: maybe', async () => {
      const error = await failure(lost(), refused(), refused());
      expect(error).toMatchObject({ code: 'CONNECT_FAILED', reached: 'maybe', message: refused().message });
      expect(error).toBeInstanceOf(ConnectError);
    });

    test('one that was lost, and a retry that was not let through: maybe', async () => {
      expect(await failure(lost(), open())).toMatchObject({ code: 'CIRCUIT_OPEN', reached: 'maybe' });
    });

    test('one that was answered, and a retry that was not let through: yes', async () => {
      expect(await failure(aReply(503), open())).toMatchObject({ code: 'CIRCUIT_OPEN', reached: 'yes' });
    });

    test('none that left: no, and the error is the one that was thrown', async () => {
      const last = refused();
      expect(await failure(refused(), refused(), last)).toBe(last);
      expect(last.reached).toBe('no');
    });

    test('an error that others share is not changed', async () => {
      const shared = refused();
      expect((await failure(lost(), shared, shared)).reached).toBe('maybe');
      expect(shared.reached).toBe('no');
    });

    test('one that was lost, and a wait that the caller ended: maybe', async () => {
      const made = setup(regardless, [lost()]);
      const call = aCall({ method: 'POST' });
      const outcome = made.call(call).catch((error: unknown) => error);
      await made.clock.advance(0);
      call.cancel(new CancelledError('gone', 'no'));
      expect(await outcome).toMatchObject({ code: 'CANCELLED', reached: 'maybe' });
    });
  });

  test('a policy that names statuses retries any method on them, as Envoy does', async () => {
    const config = {
      on: new Set(['retriable-status-codes' as const]),
      statusCodes: new Set([418]),
      maxRetries: 3,
      regardlessOfMethod: true,
    };
    const { run, service } = setup(config, [aReply(418), aReply(418), aReply(500)]);
    expect((await run({ method: 'POST' })).outcome).toBe(500);
    expect(service.calls.length).toBe(3);
  });

  test('a gRPC reply is judged at its head only when it is trailers-only', async () => {
    const config = { on: new Set(['unavailable' as const]), regardlessOfMethod: true };
    const only = setup(config, [aReply(200, { 'grpc-status': '14' }), aReply(200, { 'grpc-status': '0' })]);
    await only.run({ protocol: 'grpc', method: 'POST' });
    expect(only.service.calls.length).toBe(2);
    expect(only.service.calls[1]?.headers['grpc-previous-rpc-attempts']).toBe('1');
    const begun = setup(config, [aReply(200, {}, { trailers: { 'grpc-status': '14' } })]);
    await begun.run({ protocol: 'grpc', method: 'POST' });
    expect(begun.service.calls.length).toBe(1);
  });

  test('gateway-error covers resets and per-try timeouts, as it does in Envoy', async () => {
    const config = { on: new Set(['gateway-error' as const]), regardlessOfMethod: true };
    const { run, service } = setup(config, [lost(), aReply(200)]);
    expect((await run({ method: 'POST' })).outcome).toBe(200);
    expect(service.calls.length).toBe(2);
  });

  test('a discarded reply that does not end is cut after 100 ms', async () => {
    let cancelled = 0;
    const body = new StreamBody({ resume() {}, cancel: () => cancelled++ });
    const { run } = setup({}, [Object.assign(new OpenReply(503), { body }), aReply(200)]);
    expect((await run()).outcome).toBe(200);
    expect(cancelled).toBe(1);
  });

  test('when the budget is spent the first failure stands, flagged MB', async () => {
    const { run, service, events } = setup({}, [aReply(503)], { budget: false });
    const { outcome, call, retries } = await run();
    expect(outcome).toBe(503);
    expect(call.record.flags).toEqual(['MB']);
    expect(service.calls.length).toBe(1);
    expect(events.map((event) => event.kind)).toEqual(['retry:budget-spent']);
    expect(retries).toBe(0);
  });

  test('when max_retries is reached there is no retry', async () => {
    const { run, service } = setup({}, [lost()], { places: false });
    expect((await run()).outcome).toBe('ConnectionLostError');
    expect(service.calls.length).toBe(1);
  });

  test('every place taken is given back', async () => {
    const { run } = setup({ maxRetries: 3 }, [lost(), lost(), lost(), aReply(200)]);
    expect((await run()).retries).toBe(0);
  });

  test('a call whose deadline ends before the backoff is not tried again', async () => {
    const { call, service, clock } = setup({ baseMs: 100_000, maxMs: 100_000 }, [lost()]);
    const made = aCall();
    made.deadline = clock.now() + 50;
    await expect(call(made)).rejects.toThrow('lost');
    expect(service.calls.length).toBe(1);
  });

  test('cancelling during the backoff ends the call with that reason, and makes no attempt', async () => {
    const { call, service, clock } = setup({}, [lost()]);
    const made = aCall();
    const outcome = expect(call(made)).rejects.toThrow('gone');
    await clock.advance(0);
    made.cancel(new CancelledError('gone'));
    await outcome;
    expect(service.calls.length).toBe(1);
    expect(clock.pending).toBe(0);
  });

  test('cancelling the call cancels the attempt under way', async () => {
    const { call, service, clock } = setup({ perTryTimeoutMs: 1_000 }, [() => new Promise(() => {})]);
    const made = aCall();
    void call(made).catch(() => {});
    await clock.advance(0);
    made.cancel(new CancelledError('gone'));
    expect(service.calls[0]?.cancellation.reason?.message).toBe('gone');
  });

  test('an attempt beyond the per-try timeout is cancelled and followed by another', async () => {
    const hang: Step = (call) => new Promise((_, reject) => call.cancellation.add(reject));
    const { run, service } = setup({ perTryTimeoutMs: 100 }, [hang, aReply(200)]);
    const { outcome, call } = await run();
    expect(outcome).toBe(200);
    expect(service.calls[0]?.cancellation.reason?.name).toBe('AttemptTimeoutError');
    expect(call.cancellation.cancelled).toBe(false);
  });

  test('a reply that is given up is read to its end, so that its connection can serve again', async () => {
    const body = new StreamBody({ resume() {}, cancel() {} });
    const first = Object.assign(new OpenReply(503), { body });
    const { run } = setup({}, [first, aReply(200)]);
    expect((await run()).outcome).toBe(200);
    const read: BodySink = { write: () => true, end() {}, fail() {} };
    expect(() => body.pipe(read)).toThrow('only once');
  });
});

describe('retry of a call with a body', () => {
  const reading = (status: number | Error, seen: string[]): Step => {
    return (call) => {
      let text = '';
      return new Promise((resolve, reject) => {
        const finish = (): void => {
          seen.push(text);
          if (typeof status === 'number') resolve(aReply(status));
          else reject(status);
        };
        call.body?.pipe({
          write: (chunk) => {
            text += Buffer.from(chunk).toString();
            return true;
          },
          end: finish,
          fail: reject,
        });
      });
    };
  };

  test('a body that is all there is sent again', async () => {
    const seen: string[] = [];
    const { run } = setup({}, [reading(503, seen), reading(200, seen)]);
    expect((await run({ method: 'PUT', body: new BytesBody(Buffer.from('abc')) })).outcome).toBe(200);
    expect(seen).toEqual(['abc', 'abc']);
  });

  test('a streamed body is sent again while it fits the replay buffer of 64 KiB', async () => {
    for (const [size, attempts] of [
      [65_536, 2],
      [65_537, 1],
    ] as const) {
      const seen: string[] = [];
      const { run } = setup({}, [reading(503, seen), reading(200, seen)]);
      const body = new StreamBody({ resume() {}, cancel() {} });
      body.write(new Uint8Array(size - 1).fill(97));
      body.write(new Uint8Array(1).fill(98));
      body.end();
      await run({ method: 'PUT', body });
      expect(seen.length).toBe(attempts);
      expect(new Set(seen).size).toBe(1);
      expect(seen[0]?.length).toBe(size);
    }
  });

  test('a streamed body that goes on after the failure reaches the second attempt whole', async () => {
    const seen: string[] = [];
    let resumed = 0;
    const body = new StreamBody({ resume: () => resumed++, cancel() {} });
    body.write(Buffer.from('first '));
    const failsEarly: Step = (call) => {
      call.body?.pipe({ write: () => true, end() {}, fail() {} });
      call.body?.cancel();
      body.write(Buffer.from('between '));
      return Promise.reject(lost());
    };
    const { call, clock } = setup({}, [failsEarly, reading(200, seen)]);
    const reply = call(aCall({ method: 'PUT', body }));
    for (let i = 0; i < 3; i++) await clock.advance(100);
    body.write(Buffer.from('after'));
    body.end();
    expect((await reply).status).toBe(200);
    expect(seen).toEqual(['first between after']);
    expect(resumed).toBe(1);
  });

  test('an attempt that is over cannot disturb the next one', async () => {
    const seen: string[] = [];
    let late: (() => void) | undefined;
    const body = new StreamBody({ resume() {}, cancel: () => seen.push('cancelled') });
    const givesUpLate: Step = (call) => {
      const own = call.body;
      const flow = own?.pipe({ write: () => true, end() {}, fail() {} });
      late = () => {
        own?.cancel();
        flow?.resume();
      };
      return aReply(503);
    };
    const { call, clock } = setup({}, [givesUpLate, reading(200, seen)]);
    const reply = call(aCall({ method: 'PUT', body }));
    body.write(Buffer.from('first '));
    for (let i = 0; i < 3; i++) await clock.advance(100);
    late?.();
    body.write(Buffer.from('second'));
    body.end();
    expect((await reply).status).toBe(200);
    expect(seen).toEqual(['first second']);
  });

  test('what comes between the failure and the next attempt is kept, however much it is', async () => {
    const seen: string[] = [];
    const body = new StreamBody({ resume() {}, cancel() {} });
    const failsEarly: Step = (call) => {
      call.body?.pipe({ write: () => true, end() {}, fail() {} });
      return aReply(503);
    };
    const { call, clock } = setup({}, [failsEarly, reading(200, seen)]);
    const reply = call(aCall({ method: 'PUT', body }));
    await clock.advance(0);
    body.write(new Uint8Array(70_000).fill(97));
    body.end();
    for (let i = 0; i < 3; i++) await clock.advance(100);
    expect((await reply).status).toBe(200);
    expect(seen[0]?.length).toBe(70_000);
  });

  test('when no attempt follows after all, the reply that stands goes on reading its request', async () => {
    const got: string[] = [];
    const body = new StreamBody({ resume() {}, cancel() {} });
    const answersEarly: Step = (call) => {
      call.body?.pipe({
        write: (chunk) => got.push(Buffer.from(chunk).toString()) > 0,
        end: () => got.push('end'),
        fail() {},
      });
      return aReply(503);
    };
    const { call, clock } = setup({}, [answersEarly], { budget: false });
    const reply = call(aCall({ method: 'PUT', body }));
    body.write(Buffer.from('before '));
    await clock.advance(0);
    body.write(Buffer.from('after'));
    body.end();
    expect((await reply).status).toBe(503);
    expect(got).toEqual(['before ', 'after', 'end']);
  });

  test('after the decision the source is told as soon as the attempt lets go', async () => {
    let cancelled = 0;
    const body = new StreamBody({ resume() {}, cancel: () => cancelled++ });
    let attempt: Parameters<Exclude<Step, Error | { status: number }>>[0] | undefined;
    const { call } = setup({}, [
      (made) => {
        attempt = made;
        made.body?.pipe({ write: () => true, end() {}, fail() {} });
        return aReply(200);
      },
    ]);
    await call(aCall({ method: 'PUT', body }));
    attempt?.body?.cancel();
    expect(cancelled).toBe(1);
  });

  test('when the call is over for good, the source of a streamed body is told', async () => {
    let cancelled = 0;
    const body = new StreamBody({ resume() {}, cancel: () => cancelled++ });
    const { run } = setup({}, [lost()]);
    await run({ method: 'POST', body });
    expect(cancelled).toBe(1);
  });
});
