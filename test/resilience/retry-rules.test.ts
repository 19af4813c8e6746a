import { beforeAll, describe, expect, test } from 'vitest';
import { ConnectError, ConnectionLostError, StreamRefusedError } from '../../src/client/transport/errors.js';
import { withAmbient } from '../../src/core/ambient.js';
import { type Body, BytesBody, StreamBody } from '../../src/core/body.js';
import type { CallInit } from '../../src/core/call.js';
import { DEFAULT_RETRY, type RetryConfig } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import { headerFields } from '../../src/core/headers.js';
import { CircuitOpenError } from '../../src/resilience/concurrency/circuit-limits.js';
import { isRetried } from '../../src/core/retry-mark.js';
import { judgement } from '../../src/resilience/retry/judgement.js';
import { anyHeader } from '../../src/routing/match/any-header.js';
import { aCall, aReply, type Step } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';
import { type RetryRun, runRetry } from '../support/retries.js';

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../src/resilience/retry/repeat.js'));

const refused = () => new StreamRefusedError('10.0.0.1:80', 'REFUSED_STREAM');
const lost = () => new ConnectionLostError('10.0.0.1:80', 'closed', 'maybe');
const never: Partial<RetryConfig> = { on: new Set(), maxRetries: 0 };

describe('a retry that we refuse ourselves', () => {
  test('costs no budget, since it loads nobody', async () => {
    const full = new CircuitOpenError('reviews', 'max_requests', 1);
    const { outcome, withdrawn, places } = await runRetry([aReply(503), full]);
    expect(outcome).toBe('CircuitOpenError');
    expect({ withdrawn, places }).toEqual({ withdrawn: 0, places: 0 });
    const sent = await runRetry([aReply(503), lost()]);
    expect(sent.withdrawn).toBe(1);
  });
});

describe('a call of any method that may be sent again on another connection', () => {
  const resent = async (config: Partial<RetryConfig>, init = {}): Promise<boolean | undefined> =>
    (await runRetry([aReply(200)], { config, init: { method: 'POST', ...init } })).calls[0]?.resendable;

  test('is one whose policy names lost connections, and all methods', async () => {
    const reset = new Set(['reset'] as const);
    expect(await resent({ regardlessOfMethod: true, on: reset })).toBe(true);
    expect(await resent({ regardlessOfMethod: false, on: reset })).toBe(false);
    expect(await resent({ regardlessOfMethod: true, on: new Set(['retriable-status-codes'] as const) })).toBe(false);
    expect(
      await resent({ regardlessOfMethod: true, on: reset }, { headers: headerFields({ 'inmesh-retry': '1' }) }),
    ).toBe(false);
  });
});

describe('a call of which its caller says that it is not idempotent', () => {
  const config = { regardlessOfMethod: true, on: new Set(['5xx', 'reset', 'connect-failure'] as const) };
  const attempts = async (failure: () => Step, init: Partial<CallInit>): Promise<number> =>
    (await runRetry([failure(), aReply(200)], { config, init })).calls.length;

  test('is not sent twice though the policy is for every method', async () => {
    for (const failure of [() => aReply(503), lost]) {
      expect(await attempts(failure, { method: 'POST' })).toBe(2);
      expect(await attempts(failure, { method: 'POST', idempotent: false })).toBe(1);
      expect(await attempts(failure, { method: 'GET', idempotent: false })).toBe(1);
      expect(await attempts(failure, { method: 'POST', idempotent: true })).toBe(2);
    }
  });

  test('is sent again where it provably reached no server', async () => {
    const init = { method: 'POST', idempotent: false };
    expect(await attempts(() => new ConnectError('10.0.0.1:80', 'ECONNREFUSED'), init)).toBe(2);
    expect(await attempts(refused, init)).toBe(2);
  });

  test('is not sent again on another connection either', async () => {
    const { calls } = await runRetry([aReply(200)], { config, init: { method: 'POST', idempotent: false } });
    expect(calls[0]?.resendable).toBe(false);
  });

  test('is not hedged', () => {
    const verdicts = judgement(
      { ...DEFAULT_RETRY, ...config },
      { clock: new FakeClock(), random: seededRandom(1), headers: anyHeader },
    );
    expect(verdicts.repeatable(aCall({ method: 'POST' }))).toBe(true);
    expect(verdicts.repeatable(aCall({ method: 'POST', idempotent: false }))).toBe(false);
  });
});

describe('a call that the server provably did not look at', () => {
  test.each<[string, RetryRun]>([
    ['without a policy that retries', { config: never }],
    ['of any method', { init: { method: 'POST' } }],
    ['when the budget is spent', { env: { budget: { deposit() {}, refund() {}, tryWithdraw: () => false } } }],
    ['when max_retries is reached', { env: { limits: { tryRetry: () => false, retryDone() {} } } }],
    ['with a body that is all there', { init: { method: 'POST', body: new BytesBody(Buffer.from('abc')) } }],
  ])('is sent again at once, %s', async (_, run) => {
    const { outcome, waits, withdrawn, places } = await runRetry([refused(), aReply(200)], run);
    expect(outcome).toBe(200);
    expect(waits).toEqual([0]);
    expect({ withdrawn, places }).toEqual({ withdrawn: 0, places: 0 });
  });

  test('is so once; after that the policy decides (gRFC A6)', async () => {
    const without = await runRetry([refused(), refused()], { config: never });
    expect(without.outcome).toBe('StreamRefusedError');
    expect(without.calls).toHaveLength(2);
    const policed = await runRetry([refused(), refused(), refused()]);
    expect(policed.calls).toHaveLength(3);
    expect(policed.withdrawn).toBe(1);
  });

  test('has not been repeated: the next attempt is not marked as a repetition', async () => {
    const { calls } = await runRetry([refused(), aReply(200)], { init: { protocol: 'grpc', method: 'POST' } });
    expect(isRetried(calls[1]?.headers ?? {})).toBe(false);
  });

  test('is not sent again when its caller gave up', async () => {
    const gone: Step = (call) => {
      call.cancel(refused());
      return Promise.reject(refused());
    };
    expect((await runRetry([gone], { config: never })).calls).toHaveLength(1);
  });

  test('is sent again with a streamed body where retries keep it', async () => {
    const texts: string[] = [];
    const reading =
      (outcome: Step): Step =>
      (call) => {
        let text = '';
        (call.body as Body).pipe({
          write: (chunk) => {
            text += Buffer.from(chunk).toString();
            return true;
          },
          end: () => texts.push(text),
          fail() {},
        });
        return outcome instanceof Error ? Promise.reject(outcome) : (outcome as ReturnType<typeof aReply>);
      };
    const body = new StreamBody({ resume() {}, cancel() {} });
    body.write(Buffer.from('abc'));
    body.end();
    const { outcome } = await runRetry([reading(refused()), reading(aReply(200))], { init: { method: 'POST', body } });
    expect(outcome).toBe(200);
    expect(texts).toEqual(['abc', 'abc']);
  });
});

describe('a call made while a repetition is served', () => {
  const serving = (run: () => ReturnType<typeof runRetry>) =>
    withAmbient(
      {
        deadline: Number.POSITIVE_INFINITY,
        cancellation: undefined,
        traceparent: undefined,
        tracestate: undefined,
        baggage: undefined,
        retried: true,
      },
      run,
    );

  test('is not tried again', async () => {
    const { outcome, calls } = await serving(() => runRetry([aReply(503)]));
    expect(outcome).toBe(503);
    expect(calls).toHaveLength(1);
  });

  test('is tried again when it provably reached no server', async () => {
    expect((await serving(() => runRetry([refused(), aReply(200)]))).outcome).toBe(200);
    const connect = new ConnectError('10.0.0.1:80', 'ECONNREFUSED');
    expect((await serving(() => runRetry([connect, aReply(200)]))).outcome).toBe(200);
  });

  test('is marked, so that the service it calls does not try again either', async () => {
    const { calls } = await serving(() => runRetry([aReply(200)]));
    expect(calls[0]?.headers['inmesh-retry']).toBe('1');
    const outside = await runRetry([aReply(200)]);
    expect(outside.calls[0]?.headers).not.toHaveProperty('inmesh-retry');
  });

  test('is told by the mark of a request that is passed on as well', async () => {
    const { calls } = await runRetry([aReply(503)], { init: { headers: { 'inmesh-retry': '1' } } });
    expect(calls).toHaveLength(1);
  });
});

describe('an attempt after the first', () => {
  test('is marked as a repetition', async () => {
    const { calls } = await runRetry([lost(), aReply(200)]);
    expect(calls[0]?.headers).not.toHaveProperty('inmesh-retry');
    expect(calls[1]?.headers).toMatchObject({ 'inmesh-retry': '1', 'x-envoy-attempt-count': '2' });
  });

  test.each<[string, Record<string, string | string[]>, boolean]>([
    ['our own field', { 'inmesh-retry': '1' }, true],
    ['Envoy’s second attempt', { 'x-envoy-attempt-count': '2' }, true],
    ['Envoy’s first attempt', { 'x-envoy-attempt-count': '1' }, false],
    ['gRPC’s previous attempts', { 'grpc-previous-rpc-attempts': ['1'] }, true],
    ['what is no number', { 'x-envoy-attempt-count': 'many', 'grpc-previous-rpc-attempts': '-1' }, false],
    ['another value of ours', { 'inmesh-retry': 'yes' }, false],
    ['nothing', {}, false],
  ])('is known by %s', (_, headers, retried) => {
    expect(isRetried(headers)).toBe(retried);
  });
});

describe('Retry-After', () => {
  const busy = (after: string) => aReply(503, { 'retry-after': after });
  const alone: RetryRun = { env: { others: () => false } };

  test('is waited for, and up to half as much more, where no other endpoint can serve', async () => {
    const { waits, outcome } = await runRetry([busy('2'), aReply(200)], alone);
    expect(outcome).toBe(200);
    expect(waits[0]).toBeGreaterThanOrEqual(2_000);
    expect(waits[0]).toBeLessThanOrEqual(3_010);
  });

  test('is asked of the endpoints that were not tried', async () => {
    const asked: (readonly string[])[] = [];
    const failing: Step = (call) => {
      call.record.endpoint = '10.0.0.1:80';
      return busy('2');
    };
    const others = (tried: readonly string[]) => asked.push([...tried]) > 0;
    const { waits } = await runRetry([failing, aReply(200)], { env: { others } });
    expect(asked).toEqual([['10.0.0.1:80']]);
    expect(waits[0]).toBeLessThanOrEqual(40);
  });

  test('may be a date', async () => {
    const at = new Date(1_700_000_000_000 + 1_000 + 4_000).toUTCString();
    const { waits } = await runRetry([busy(at), aReply(200)], alone);
    expect(waits[0]).toBeGreaterThanOrEqual(3_000);
    expect(waits[0]).toBeLessThanOrEqual(6_010);
  });

  test('that ends beyond the deadline leaves the failure as it is, at once', async () => {
    const { outcome, calls, waits } = await runRetry([busy('2')], {
      ...alone,
      prepare: (call, clock) => {
        call.deadline = clock.now() + 1_500;
      },
    });
    expect(outcome).toBe(503);
    expect({ attempts: calls.length, waits }).toEqual({ attempts: 1, waits: [] });
  });

  test('that ends beyond the time for the head of the reply does so, too', async () => {
    const prepare: RetryRun['prepare'] = (call, clock) => {
      call.headBy = clock.now() + 1_500;
    };
    expect((await runRetry([busy('2')], { ...alone, prepare })).calls).toHaveLength(1);
  });

  test('of more than 300 s is waited for by nobody', async () => {
    expect((await runRetry([busy('301')], alone)).calls).toHaveLength(1);
    const { waits } = await runRetry([busy('300'), aReply(200)], alone, 460_000);
    expect(waits[0]).toBeGreaterThanOrEqual(300_000);
  });

  test.each(['soon', '-1', '0'])('of "%s" says nothing', async (after) => {
    expect((await runRetry([busy(after), aReply(200)], alone)).waits[0]).toBeLessThanOrEqual(40);
  });

  test('as pushback of gRPC is waited for whatever other endpoints there are, up to 300 s (gRFC A6)', async () => {
    const config = { on: new Set(['unavailable' as const]), regardlessOfMethod: true };
    const init = { protocol: 'grpc', method: 'POST' } as const;
    const pushback = (ms: string) => aReply(200, { 'grpc-status': '14', 'grpc-retry-pushback-ms': ms });
    expect((await runRetry([pushback('1500'), aReply(200)], { config, init })).waits).toEqual([1_500]);
    expect((await runRetry([pushback('300001')], { config, init })).calls).toHaveLength(1);
  });
});

describe('Envoy’s budget of active requests', () => {
  test('stands in the place of the budget of recent ones', async () => {
    const budget = { deposit() {}, refund() {}, tryWithdraw: () => false };
    const limits = { tryRetry: () => true, retryDone() {}, budgeted: true };
    expect((await runRetry([lost(), aReply(200)], { env: { budget, limits } })).outcome).toBe(200);
    expect((await runRetry([lost()], { env: { budget } })).call.record.flags).toEqual(['MB']);
  });
});
