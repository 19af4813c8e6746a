import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { carryDeadline } from '../../src/client/endpoints/carry.js';
import { withAmbient } from '../../src/core/ambient.js';
import { Deadlines } from '../../src/core/deadlines.js';
import type { HeaderFields } from '../../src/core/headers.js';
import { stack } from '../../src/core/service.js';
import { callDeadline } from '../../src/resilience/deadline/deadline.js';
import { defaultReserveMs } from '../../src/resilience/deadline/reserve.js';
import { inboundContext } from '../../src/server/context.js';
import { aCall, aReply } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

/** What the server of a call is told that is made `afterMs` into a request with these headers; undefined when it is not sent. */
async function nextHop(
  headers: HeaderFields,
  protocol: 'http' | 'grpc',
  { afterMs = 0, reserveMs }: { afterMs?: number; reserveMs?: number } = {},
): Promise<HeaderFields | undefined> {
  const clock = new FakeClock();
  const env = { clock, deadlines: new Deadlines(clock), reserveMs };
  const context = inboundContext(headers, clock);
  await clock.advance(afterMs);
  let sent: HeaderFields | undefined;
  const service = stack([callDeadline(env), carryDeadline(env)], (call) => {
    sent = call.headers;
    return Promise.resolve(aReply());
  });
  const called = withAmbient(context, () => service(aCall({ protocol })));
  if (sent === undefined) await expect(called).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', reached: 'no' });
  else await called;
  env.deadlines.close();
  expect(clock.pending).toBe(0);
  return sent;
}

const left = (ms: number): HeaderFields => ({ 'inmesh-timeout-ms': String(ms) });

describe('a call made while a request is served', () => {
  test.each([
    [10_000, '9995'],
    [1_000, '995'],
    [100, '95'],
    [60, '57'],
    [20, '19'],
    [10, '9'],
    [2, '1'],
    [1, undefined],
  ])('with %d ms left is given less by 5 %%, 1 ms at least and 5 ms at most: %s', async (allowed, expected) => {
    expect((await nextHop(left(allowed), 'http'))?.['inmesh-timeout-ms']).toBe(expected);
    expect((await nextHop(left(allowed), 'grpc'))?.['grpc-timeout']).toBe(expected && `${expected}m`);
  });

  test('is told the same by our field and by that of Envoy, whose value counts where ours is missing', async () => {
    const sent = await nextHop({ 'x-envoy-expected-rq-timeout-ms': '1000' }, 'http');
    expect(sent).toMatchObject({ 'inmesh-timeout-ms': '995', 'x-envoy-expected-rq-timeout-ms': '995' });
  });

  test('has the same reserve however late it is made: it is a share of what there was when the request came', async () => {
    expect(await nextHop(left(60), 'http', { afterMs: 50 })).toMatchObject({ 'inmesh-timeout-ms': '7' });
    expect(await nextHop(left(60), 'http', { afterMs: 57 })).toBeUndefined();
  });

  test('leaves as much as the application says, where it says so', async () => {
    expect(await nextHop(left(1_000), 'http', { reserveMs: 100 })).toMatchObject({ 'inmesh-timeout-ms': '900' });
    expect(await nextHop(left(1_000), 'http', { reserveMs: 0 })).toMatchObject({ 'inmesh-timeout-ms': '1000' });
    expect(await nextHop(left(80), 'http', { reserveMs: 100 })).toBeUndefined();
  });

  test('has no deadline when the request has none', async () => {
    expect(await nextHop({}, 'http')).not.toHaveProperty('inmesh-timeout-ms');
  });
});

test('the reserve is between 1 and 5 ms, and grows with what there is', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0, max: 1e9, noNaN: true }),
      fc.double({ min: 0, max: 1e6, noNaN: true }),
      (ms, more) => {
        const reserve = defaultReserveMs(ms);
        expect(reserve).toBeGreaterThanOrEqual(1);
        expect(reserve).toBeLessThanOrEqual(5);
        expect(defaultReserveMs(ms + more)).toBeGreaterThanOrEqual(reserve);
      },
    ),
  );
});

test('time left strictly decreases along any chain of hops, over HTTP and gRPC in any order, until a call is not sent', async () => {
  const hop = fc.record({
    protocol: fc.constantFrom('http' as const, 'grpc' as const),
    afterMs: fc.double({ min: 0, max: 40, noNaN: true }),
  });
  const told = (headers: HeaderFields): number =>
    Number(headers['inmesh-timeout-ms'] ?? String(headers['grpc-timeout']).replace(/m$/, ''));
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.array(hop, { maxLength: 12 }), async (first, hops) => {
      let headers = left(first);
      for (const { protocol, afterMs } of hops) {
        const sent = await nextHop(headers, protocol, { afterMs });
        if (sent === undefined) break;
        expect(told(sent)).toBeLessThan(told(headers));
        expect(told(sent)).toBeLessThanOrEqual(told(headers) - Math.floor(afterMs));
        // As on the wire: a server sees only what was sent.
        headers =
          protocol === 'grpc'
            ? { 'grpc-timeout': sent['grpc-timeout'] as string }
            : { 'inmesh-timeout-ms': sent['inmesh-timeout-ms'] as string };
      }
    }),
    { numRuns: 60 },
  );
});
