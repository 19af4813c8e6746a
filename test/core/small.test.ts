import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Cancellation } from '../../src/core/cancellation.js';
import { DecodeError, knownKeys, nearest, number, shown } from '../../src/core/decode.js';
import { type Resolver, watchDns } from '../../src/core/dns.js';
import { CancelledError, type MeshError } from '../../src/core/errors.js';
import { appendHeader, endToEndHeaders, headerFields, headerValue } from '../../src/core/headers.js';
import { silentLogger } from '../../src/core/log.js';
import { seededRandom } from '../../src/core/random.js';
import { ReplyEnding } from '../../src/core/reply.js';
import { stack } from '../../src/core/service.js';
import { aCall, aReply, GOOD_END, scripted } from '../support/calls.js';
import { FakeClock } from '../support/fake-clock.js';

describe('stack', () => {
  test('the first filter listed sees the call first and the reply last', async () => {
    const seen: string[] = [];
    const tell = (name: string) => (next: Parameters<typeof stack>[1]) => async (call: Parameters<typeof next>[0]) => {
      seen.push(`${name} call`);
      const reply = await next(call);
      seen.push(`${name} reply`);
      return reply;
    };
    await stack([tell('outer'), tell('inner')], scripted(aReply()))(aCall());
    expect(seen).toEqual(['outer call', 'inner call', 'inner reply', 'outer reply']);
  });
});

describe('Cancellation', () => {
  test('tells every listener once, with the first reason, and late ones at once', () => {
    const told: (MeshError | string)[] = [];
    const cancellation = new Cancellation();
    const gone = (): void => void told.push('removed');
    cancellation.add((reason) => told.push(reason));
    cancellation.add((reason) => told.push(reason));
    cancellation.add(gone);
    cancellation.remove(gone);
    const reason = new CancelledError('first');
    cancellation.cancel(reason);
    cancellation.cancel(new CancelledError('second'));
    cancellation.add((late) => told.push(late));
    expect(told).toEqual([reason, reason, reason]);
  });
});

describe('ReplyEnding', () => {
  test('runs listeners in the order in which they were added, and those added later at once', () => {
    const order: number[] = [];
    const ending = new ReplyEnding();
    ending.onEnd(() => order.push(1));
    ending.onEnd(() => order.push(2));
    ending.settle(GOOD_END);
    ending.settle(GOOD_END);
    ending.onEnd(() => order.push(3));
    expect(order).toEqual([1, 2, 3]);
  });

  test('runs every listener though one before it throws, and tells of what was thrown', () => {
    const order: number[] = [];
    const ending = new ReplyEnding();
    for (const n of [1, 2, 3]) {
      ending.onEnd(() => {
        order.push(n);
        if (n < 3) throw new Error(`no ${n}`);
      });
    }
    expect(() => ending.settle(GOOD_END)).toThrow('2 listeners of the end of a reply threw');
    expect(order).toEqual([1, 2, 3]);
    ending.settle(GOOD_END);
    expect(order).toEqual([1, 2, 3]);
  });
});

describe('header fields', () => {
  test('a field called __proto__ is a field like any other', () => {
    const fields = headerFields(JSON.parse('{"__proto__":"x","Constructor":"y"}') as Record<string, string>);
    appendHeader(fields, '__proto__', 'z');
    expect(headerValue(fields, '__proto__')).toBe('x,z');
    expect(headerValue(fields, 'constructor')).toBe('y');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  test('hop-by-hop fields and those that Connection nominates do not travel', () => {
    const fields = headerFields({
      connection: 'close, X-Local',
      'x-local': '1',
      'x-far': '2',
      'transfer-encoding': 'chunked',
      te: 'trailers',
    });
    expect(Object.keys(endToEndHeaders(fields))).toEqual(['x-far']);
  });
});

describe('decode helpers', () => {
  test('the message names the place, the bounds and what was found', () => {
    expect(() => number(5, 'clusters[2].retryBudget.ttlMs', 1_000, 60_000)).toThrow(
      'clusters[2].retryBudget.ttlMs: must be a number from 1000 to 60000, got 5',
    );
    expect(() => number(Number.NaN, 'x', 0, 1)).toThrow(DecodeError);
  });

  test('an unknown key is answered with the nearest known one', () => {
    expect(() => knownKeys({ wieght: 1 }, 'a', ['weight', 'name'])).toThrow(
      'a.wieght: unknown field; did you mean "weight"?',
    );
    expect(() => knownKeys({ zzzzzzz: 1 }, '', ['weight'])).toThrow('zzzzzzz: unknown field; known: weight');
  });

  test('shown and nearest take anything without throwing', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), fc.array(fc.string()), (value, name, known) => {
        expect(shown(value).length).toBeLessThanOrEqual(80);
        nearest(name, known);
      }),
    );
  });
});

describe('watchDns', () => {
  const scriptedDns = (answers: (string[] | Error)[]) => {
    const clock = new FakeClock();
    const seen: string[] = [];
    let asked = 0;
    const stop = watchDns(
      'reviews.test',
      {
        clock,
        random: seededRandom(1),
        logger: silentLogger,
        resolve: () => {
          const answer = answers[Math.min(asked++, answers.length - 1)] as string[] | Error;
          return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
        },
      },
      { addresses: (ips) => seen.push(ips.join(' ')), failed: (error) => seen.push(error.message) },
    );
    return { clock, seen, stop, asked: () => asked };
  };

  test('reports changes only, whatever the order of the answer', async () => {
    const dns = scriptedDns([['10.0.0.2', '10.0.0.1'], ['10.0.0.1', '10.0.0.2'], ['10.0.0.3']]);
    await dns.clock.advance(100_000);
    expect(dns.seen).toEqual(['10.0.0.1 10.0.0.2', '10.0.0.3']);
    dns.stop();
    expect(dns.clock.pending).toBe(0);
  });

  test('an answer without an address is a failure, the first one too; what was known before stands', async () => {
    const dns = scriptedDns([[], ['10.0.0.1'], [], ['10.0.0.1'], ['10.0.0.2']]);
    await dns.clock.advance(100_000);
    const none = 'host "reviews.test" has no address';
    expect(dns.seen).toEqual([none, '10.0.0.1', none, '10.0.0.2']);
    dns.stop();
  });

  test('a resolver that throws, or answers with what is no list, has failed, and is asked again', async () => {
    const clock = new FakeClock();
    const seen: string[] = [];
    const answers: (() => unknown)[] = [
      () => {
        throw new Error('broken');
      },
      () => ['10.0.0.1'],
      () => undefined,
      () => [1],
    ];
    const resolve = (() => (answers.shift() ?? (() => Promise.resolve(['10.0.0.2'])))()) as unknown as Resolver;
    const stop = watchDns(
      'reviews.test',
      { clock, random: seededRandom(1), logger: silentLogger, resolve },
      { addresses: (ips) => seen.push(ips.join(' ')), failed: (error) => seen.push(error.message) },
    );
    await clock.advance(200_000);
    const odd = 'host "reviews.test": the resolver must answer with a list of IP addresses';
    expect(seen).toEqual(['broken', '10.0.0.1', odd, odd, '10.0.0.2']);
    stop();
    expect(clock.pending).toBe(0);
  });

  test('tries again after a failure, ever more slowly, and never more often than once in 0.8 s', async () => {
    const dns = scriptedDns([new Error('no such host')]);
    await dns.clock.advance(60_000);
    expect(dns.asked()).toBeGreaterThan(4);
    expect(dns.asked()).toBeLessThan(12);
    dns.stop();
  });
});
