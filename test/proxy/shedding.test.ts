import { once } from 'node:events';
import http from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import type { Call } from '../../src/core/call.js';
import { ConfigUnavailableError } from '../../src/core/errors.js';
import { headerFields } from '../../src/core/headers.js';
import { localReply } from '../../src/core/reply.js';
import type { ProxyOptions } from '../../src/proxy/index.js';
import { HeardMeter } from '../support/served-over-ads.js';
import { FakeClock, settle } from '../support/fake-clock.js';
import { answerOf, Cleanup, deferred, get, openReply, proxyFor, session } from './support.js';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const ok = () => localReply(200, headerFields(), Buffer.from('ok'));
const GRPC = { ':method': 'POST', ':path': '/s/m', 'content-type': 'application/grpc', te: 'trailers' };
/** One request at once. */
const ONE = { initialLimit: 1, minLimit: 1, maxLimit: 1, maxLagMs: false } as const;

/** A proxy that lets one request in at once, and whose calls are answered when the test says so. */
async function oneAtOnce(options: Partial<ProxyOptions> = {}) {
  const meter = new HeardMeter();
  const calls: Call[] = [];
  const waiting: ((reply: ReturnType<typeof ok>) => void)[] = [];
  let came = deferred<void>();
  const proxy = await proxyFor(
    cleanup,
    (call) => {
      calls.push(call);
      came.resolve();
      came = deferred();
      return new Promise((resolve) => waiting.push(resolve));
    },
    { shed: { ...ONE }, meter, ...options },
  );
  const answer = (reply = ok()): void => waiting.shift()?.(reply);
  return { proxy, meter, calls, answer, next: () => came.promise, active: () => meter.active['proxy'] };
}

const fails = (error: Error): never => {
  throw error;
};

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await settle();
};

describe('a proxy that sheds', () => {
  test('answers what is too much with 503 and Retry-After over HTTP/1.1 and HTTP/2, and tells of it', async () => {
    const { proxy, meter, calls, answer, next, active } = await oneAtOnce();
    const running = next();
    const first = get(proxy.port, { headers: { host: 'a' } });
    await running;
    const refused = await get(proxy.port, { headers: { host: 'a', 'inmesh-priority': 'high' } });
    expect([refused.status, refused.headers['retry-after'], refused.headers['mesh-error']]).toEqual([503, '1', 'MA']);
    expect(refused.headers['x-envoy-overloaded']).toBeUndefined();
    expect(JSON.parse(refused.text)).toMatchObject({ code: 'OVERLOADED', origin: 'mesh' });
    const { headers } = await answerOf(session(cleanup, proxy).request({ ':authority': 'a' }));
    expect([headers[':status'], headers['retry-after']]).toEqual([503, '1']);
    // Clients are not believed how important they are, so both are like any other.
    const shed = { kind: 'shed', protocol: 'http', priority: 'default', reason: 'concurrency' };
    expect([calls.length, active(), meter.events]).toEqual([1, 1, [shed, shed]]);
    answer();
    expect((await first).text).toBe('ok');
    await until(() => active() === 0);
  });

  test('answers gRPC with RESOURCE_EXHAUSTED and a pushback, but for checks of health', async () => {
    const { proxy, answer, next, calls } = await oneAtOnce({ shed: { ...ONE, retryAfterMs: 250 } });
    const h2 = session(cleanup, proxy);
    const running = next();
    const first = answerOf(h2.request({ ...GRPC, ':authority': 'a' }).end());
    await running;
    const { headers } = await answerOf(h2.request({ ...GRPC, ':authority': 'a' }).end());
    expect([headers['grpc-status'], headers['grpc-retry-pushback-ms'], headers['retry-after']]).toEqual([
      '8',
      '250',
      undefined,
    ]);
    const checked = next();
    const check = answerOf(h2.request({ ...GRPC, ':authority': 'a', ':path': '/grpc.health.v1.Health/Check' }).end());
    await checked;
    answer();
    answer();
    await Promise.all([first, check]);
    expect(calls).toHaveLength(2);
  });

  test('believes clients how important they are where they are trusted', async () => {
    const { proxy, answer, next } = await oneAtOnce({ trustPriority: true });
    const asked = [];
    for (const priority of ['default', 'high']) {
      const running = next();
      asked.push(get(proxy.port, { headers: { host: 'a', 'inmesh-priority': priority } }));
      await running;
    }
    // Each priority has a share of its own.
    expect((await get(proxy.port, { headers: { host: 'a', 'inmesh-priority': 'high' } })).status).toBe(503);
    answer();
    answer();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test('has the place back when a client goes away, and when a reply breaks off', async () => {
    const { proxy, answer, next, active } = await oneAtOnce();
    const running = next();
    const request = http.request({ port: proxy.port, host: '127.0.0.1', headers: { host: 'a' } }).end();
    request.on('error', () => {});
    await running;
    expect(active()).toBe(1);
    request.destroy();
    await until(() => active() === 0);
    const again = next();
    const broken = get(proxy.port, { headers: { host: 'a' } });
    await again;
    answer();
    const { reply, body } = openReply(200, { 'content-length': '5' });
    answer(reply);
    body.end();
    await expect(broken).rejects.toThrow();
    await until(() => active() === 0);
  });

  test.each([
    ['a stream of events', { 'content-type': 'text/event-stream; charset=utf-8' }, 0],
    ['another long reply', { 'content-type': 'text/plain' }, 1],
  ])('%s that goes on holds a place: %j, %i', async (_, headers, held) => {
    const { proxy, answer, next, active } = await oneAtOnce();
    const running = next();
    const request = http.request({ port: proxy.port, host: '127.0.0.1', headers: { host: 'a' } }).end();
    request.on('error', () => {});
    await running;
    const { reply, body } = openReply(200, headers);
    answer(reply);
    await once(request, 'response');
    expect(active()).toBe(held);
    body.end();
    await until(() => active() === 0);
    request.destroy();
  });

  test('a gRPC call gives its place back with the head of its reply: it may be a stream', async () => {
    const { proxy, answer, next, active } = await oneAtOnce();
    const running = next();
    const stream = session(cleanup, proxy).request({ ...GRPC, ':authority': 'a' });
    await running;
    expect(active()).toBe(1);
    const { reply, body } = openReply(200, { 'content-type': 'application/grpc' });
    answer(reply);
    await once(stream, 'response');
    expect(active()).toBe(0);
    body.end(headerFields({ 'grpc-status': '0' }));
  });

  test('learns from calls that were served, and nothing from those that failed, by an answer or without one', async () => {
    const meter = new HeardMeter();
    const clock = new FakeClock();
    const shed = { algorithm: 'aimd', initialLimit: 1, minLimit: 1, maxLimit: 9, maxLagMs: false } as const;
    let outcome: () => ReturnType<typeof ok> = ok;
    const service = async () => {
      await clock.advance(100);
      return outcome();
    };
    const proxy = await proxyFor(cleanup, service, { shed, meter, clock });
    const h2 = session(cleanup, proxy);
    const ask = {
      http: () => get(proxy.port, { headers: { host: 'a' } }),
      grpc: () => answerOf(h2.request({ ...GRPC, ':authority': 'a' }).end()),
    };
    const grpcHead = (status: string) =>
      localReply(200, headerFields({ 'content-type': 'application/grpc', 'grpc-status': status }));
    const outcomes: [keyof typeof ask, () => ReturnType<typeof ok>, number][] = [
      ['http', () => localReply(500), 1],
      ['http', () => fails(new ConfigUnavailableError('nobody is there')), 1],
      ['grpc', () => grpcHead('14'), 1],
      ['grpc', () => fails(new ConfigUnavailableError('nobody is there')), 1],
      ['http', ok, 2],
      ['grpc', () => grpcHead('0'), 3],
    ];
    for (const [protocol, next, limit] of outcomes) {
      outcome = next;
      // Of 100 ms each: one that ends the window before, and a window of a second.
      for (let i = 0; i < 13; i++) {
        await ask[protocol]();
        await until(() => meter.active['proxy'] === 0);
      }
      expect([protocol, next.toString(), meter.gauges.get('mesh.server.concurrency_limit proxy')?.()]).toEqual([
        protocol,
        next.toString(),
        limit,
      ]);
    }
  });

  test('does nothing of the kind by itself', async () => {
    const meter = new HeardMeter();
    await proxyFor(cleanup, async () => ok(), { meter });
    expect(meter.gauges.size).toBe(0);
  });
});

test.each([
  [{ shed: { maxLagMs: 0 } }, 'shed.maxLagMs: must be a number from 1 to 60000'],
  [{ trustedHops: 17 }, 'options.trustedHops: must be a number from 0 to 16, got 17'],
  [{ trustedHops: 0.5 }, 'options.trustedHops: must be a whole number, got 0.5'],
  [{ reserveMs: -1 }, 'options.reserveMs: must be a number from 0 to 60000, got -1'],
])('%j is refused', async (options, message) => {
  await expect(proxyFor(cleanup, async () => ok(), options)).rejects.toThrow(message);
});

test('the time kept from a client’s is what the proxy is told to keep', async () => {
  const calls: Call[] = [];
  const service = async (call: Call) => {
    calls.push(call);
    return ok();
  };
  for (const reserveMs of [0, 40]) {
    const { port } = await proxyFor(cleanup, service, { reserveMs });
    await get(port, { headers: { host: 'a', 'inmesh-timeout-ms': '100' } });
  }
  expect(calls.map(({ timeoutMs }) => timeoutMs)).toEqual([100, 60]);
});

test('the client is who trusted proxies say that it is', async () => {
  const calls: Call[] = [];
  const service = async (call: Call) => {
    calls.push(call);
    return ok();
  };
  const forwarded = { host: 'a', 'x-forwarded-for': '1.1.1.1, 2.2.2.2,2001:db8::1' };
  for (const trustedHops of [0, 1, 2, 4]) {
    const { port } = await proxyFor(cleanup, service, { trustedHops });
    await get(port, { headers: forwarded });
  }
  const [own, ...told] = calls.map(({ downstream }) => downstream?.remote);
  expect(own).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(told.slice(0, 2)).toEqual(['[2001:db8::1]:0', '2.2.2.2:0']);
  // There are not so many: a client that goes round the proxies could write what it likes.
  expect(told[2]).toMatch(/^127\.0\.0\.1:\d+$/);
  expect(calls[1]?.headers['x-forwarded-for']).toBe('1.1.1.1, 2.2.2.2,2001:db8::1, 127.0.0.1');
});
