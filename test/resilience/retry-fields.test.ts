import { beforeAll, describe, expect, test } from 'vitest';
import { ConnectError } from '../../src/client/transport/errors.js';
import { noMeter } from '../../src/core/meter.js';
import type { HeaderMatch } from '../../src/core/model/match.js';
import { DEFAULT_RETRY, type RetryConfig } from '../../src/core/model/route.js';
import { seededRandom } from '../../src/core/random.js';
import { retry } from '../../src/resilience/retry/retry.js';
import { anyHeader } from '../../src/routing/match/any-header.js';
import { aCall, aReply, type Step, scripted } from '../support/calls.js';
import { FakeClock, settle } from '../support/fake-clock.js';

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../src/resilience/retry/repeat.js'));

const header = (name: string, value: string): HeaderMatch => ({
  name,
  match: { kind: 'exact', value, ignoreCase: false },
  invert: false,
  treatMissingAsEmpty: false,
});

/** Runs one call under a policy; `waits` are the milliseconds before each attempt after the first. */
async function run(config: Partial<RetryConfig>, steps: Step[], init: Parameters<typeof aCall>[0] = {}) {
  const clock = new FakeClock();
  const service = scripted(...steps);
  const sentAt: number[] = [];
  const call = retry(
    { ...DEFAULT_RETRY, regardlessOfMethod: true, ...config },
    {
      clock,
      random: seededRandom(1),
      meter: noMeter,
      cluster: 'reviews',
      budget: { deposit() {}, refund() {}, tryWithdraw: () => true },
      limits: { tryRetry: () => true, retryDone() {} },
      headers: anyHeader,
    },
  )((attempt) => {
    sentAt.push(clock.now());
    return service(attempt);
  });
  let outcome: number | string | undefined;
  call(aCall(init)).then(
    (reply) => {
      outcome = reply.status;
    },
    (error: Error) => {
      outcome = error.name;
    },
  );
  await settle();
  for (let i = 0; i < 500 && outcome === undefined; i++) await clock.advance(10);
  return { outcome, service, waits: sentAt.slice(1).map((at, i) => at - (sentAt[i] as number)) };
}

describe('retriable headers', () => {
  const config = {
    on: new Set(['retriable-headers' as const]),
    retriableHeaders: [header('x-again', 'yes'), header(':status', '418')],
  };

  test.each([
    ['a header that matches', aReply(200, { 'x-again': 'yes' }), 2],
    ['another value', aReply(503, { 'x-again': 'no' }), 1],
    ['a status that matches', aReply(418), 2],
  ])('of the reply decide: %s', async (_, reply, attempts) => {
    expect((await run(config, [reply, aReply(200)])).service.calls).toHaveLength(attempts);
  });

  test('of the reply count only where the policy names them', async () => {
    const unnamed = { ...config, on: new Set(['5xx' as const]) };
    expect((await run(unnamed, [aReply(200, { 'x-again': 'yes' })])).service.calls).toHaveLength(1);
  });

  test('of the request say whether it is retried at all', async () => {
    const only = { retriableRequestHeaders: [header('x-retry', '1'), header(':method', 'PUT')] };
    const refused = new ConnectError('10.0.0.1:80', 'ECONNREFUSED');
    for (const failure of [aReply(503), refused]) {
      expect((await run(only, [failure])).service.calls).toHaveLength(1);
      expect((await run(only, [failure, aReply(200)], { headers: { 'x-retry': '1' } })).service.calls).toHaveLength(2);
      expect((await run(only, [failure, aReply(200)], { method: 'PUT' })).service.calls).toHaveLength(2);
    }
  });
});

describe('a reply that an Envoy upstream limited', () => {
  const limited = aReply(503, { 'x-envoy-ratelimited': 'true' });

  test('is retried only where the policy says envoy-ratelimited', async () => {
    expect((await run({ on: new Set(['5xx']) }, [limited])).outcome).toBe(503);
    expect((await run({ on: new Set(['envoy-ratelimited']) }, [limited, aReply(200)])).outcome).toBe(200);
  });
});

describe('the wait before another attempt', () => {
  const asked = (format: 'seconds' | 'unix' = 'seconds'): Partial<RetryConfig> => ({
    rateLimitedBackOff: {
      headers: [
        { name: 'x-first', format: 'seconds' },
        { name: 'x-reset', format },
      ],
      maxMs: 300_000,
    },
  });
  const wait = async (config: Partial<RetryConfig>, value: string) =>
    (await run(config, [aReply(503, { 'x-reset': value }), aReply(200)])).waits[0] as number;

  test('is what the server asks for, and up to half as much more', async () => {
    const waited = await wait(asked(), '2');
    expect(waited).toBeGreaterThanOrEqual(2_000);
    expect(waited).toBeLessThanOrEqual(3_010);
  });

  test('may be asked for by the time at which to come back', async () => {
    const clock = new FakeClock();
    const at = Math.floor(clock.wallTime() / 1_000) + 2;
    expect(await wait(asked('unix'), String(at))).toBeGreaterThanOrEqual(2_000);
    expect(await wait(asked('unix'), String(at - 60))).toBeLessThanOrEqual(40);
  });

  test.each(['never', '-1', '0', '301'])('is the policy’s own when the server says "%s"', async (value) => {
    expect(await wait(asked(), value)).toBeLessThanOrEqual(40);
  });

  test('is not what Retry-After says unless the policy asks for that: other endpoints can serve meanwhile', async () => {
    const { waits } = await run({}, [aReply(503, { 'retry-after': '60' }), aReply(200)]);
    expect(waits[0]).toBeLessThanOrEqual(40);
  });

  const grpc = { protocol: 'grpc', method: 'POST' } as const;
  const unavailable = (pushback: string) => aReply(200, { 'grpc-status': '14', 'grpc-retry-pushback-ms': pushback });
  test('of gRPC is what the server pushes back, exactly (gRFC A6)', async () => {
    const config = { on: new Set(['unavailable' as const]) };
    const { waits } = await run(config, [unavailable('1500'), aReply(200, { 'grpc-status': '0' })], grpc);
    expect(waits).toEqual([1_500]);
  });

  test('of gRPC grows from its beginning again after pushback (gRFC A6)', async () => {
    const config = { on: new Set(['unavailable' as const]), maxRetries: 3, baseMs: 1_000, maxMs: 60_000 };
    const failed = aReply(200, { 'grpc-status': '14' });
    const { waits } = await run(config, [failed, unavailable('10'), failed, aReply(200, { 'grpc-status': '0' })], grpc);
    expect(waits[1]).toBe(10);
    expect(waits[2]).toBeLessThanOrEqual(1_010);
  });

  test.each(['-1', 'never', '1.5', '', '007'])(
    'of gRPC has no end when the server says "%s": no attempt follows',
    async (pushback) => {
      const config = { on: new Set(['unavailable' as const]) };
      expect((await run(config, [unavailable(pushback)], grpc)).service.calls).toHaveLength(1);
    },
  );
});

describe('endpoints that were tried', () => {
  const failing: Step = (call) => {
    call.record.endpoint = '10.0.0.1:80';
    return aReply(503);
  };

  test('are avoided, unless the policy says that they need not be', async () => {
    const avoids = await run({}, [failing, aReply(200)]);
    expect(avoids.service.calls[1]?.tried).toEqual(['10.0.0.1:80']);
    const config = { hostSelection: { avoidPrevious: false, maxAttempts: 1 } };
    expect((await run(config, [failing, aReply(200)])).service.calls[1]?.tried).toBeUndefined();
  });
});
