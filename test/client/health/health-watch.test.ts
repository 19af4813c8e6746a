import { afterEach, describe, expect, test } from 'vitest';
import { ConnectError } from '../../../src/client/transport/errors.js';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { HealthWatch } from '../../../src/client/health/health-watch.js';
import { UNLIMITED } from '../../../src/client/health/probe.js';
import type { Transport } from '../../../src/core/transport.js';
import { Checked, checkSurroundings, healthServer } from '../../support/health.js';
import { rawServer, until } from '../../support/http2-fixture.js';
import type { FakeClock } from '../../support/fake-clock.js';

const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of cleanUp.splice(0).reverse()) await close();
});
function track<T extends { close(): unknown }>(server: T): T {
  cleanUp.push(() => server.close());
  return server;
}

function watching(service: string, endpoints: (clock: FakeClock) => Checked[]) {
  const s = checkSurroundings();
  const transports = new Map<Checked, Transport>();
  const transportOf = (endpoint: Checked): Transport => {
    let transport = transports.get(endpoint);
    if (transport === undefined) {
      transport = http2Transport({
        endpoint: endpoint.config,
        tls: undefined,
        connectTimeoutMs: 1_000,
        idleTimeoutMs: 300_000,
        limits: UNLIMITED,
        clock: s.clock,
        logger: s.env.logger,
      });
      transports.set(endpoint, transport);
    }
    return transport;
  };
  const watch = new HealthWatch(service, { name: 'reviews' }, { ...s.env, transportOf });
  cleanUp.push(async () => {
    watch.close();
    await Promise.all([...transports.values()].map((transport) => transport.close(true)));
  });
  const list = endpoints(s.clock);
  watch.update(list);
  return { ...s, watch, endpoints: list, first: list[0] as Checked, transports };
}

describe('what an endpoint says of itself', () => {
  test('counts: SERVING is usable, everything else is not, as soon as it says so', async () => {
    const server = track(await healthServer());
    server.statuses.set('orders', 'NOT_SERVING');
    const w = watching('orders', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.first.verdict === 'unusable');
    for (const [status, verdict] of [
      ['SERVING', 'usable'],
      ['UNKNOWN', 'unusable'],
      ['SERVING', 'usable'],
      ['SERVICE_UNKNOWN', 'unusable'],
    ] as const) {
      server.set('orders', status);
      await until(() => w.first.verdict === verdict);
    }
    expect(server.asked).toEqual(['orders']);
    expect(w.events.map((event) => 'healthy' in event && event.healthy)).toEqual([false, true, false, true, false]);
    expect(w.events[0]).toEqual({
      kind: 'health:changed',
      cluster: 'reviews',
      endpoint: w.first.key,
      by: 'watch',
      healthy: false,
    });
  });

  test('a server without the method counts as healthy, is logged once, and is never asked again', async () => {
    const server = track(await healthServer(['Check']));
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.lines.length > 0);
    expect(w.first.verdict).toBe('usable');
    await w.clock.advance(600_000);
    expect(w.lines.map(({ level }) => level)).toEqual(['error']);
    expect(server.asked).toEqual([]);
  });
});

describe('a server that had no such method', () => {
  test('is asked again over another connection, and what it says by then counts', async () => {
    const server = await healthServer(['Check']);
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.lines.length > 0);
    const transport = w.transports.get(w.first) as Transport;
    server.close();
    await until(() => transport.connections === 0);
    // It is as healthy as before while it is away: health is not what it lacks.
    await w.clock.advance(10_000);
    expect(w.first.verdict).toBe('usable');
    const upgraded = track(await healthServer(['Watch'], undefined, server.port));
    upgraded.statuses.set('', 'NOT_SERVING');
    while (w.first.verdict === 'usable') await w.clock.advance(1_000);
    upgraded.set('', 'SERVING');
    await until(() => w.first.verdict === 'usable');
    expect(upgraded.asked).toEqual(['']);
  });

  test('and still has none is told of once', async () => {
    const server = await healthServer(['Check']);
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.lines.length > 0);
    server.close();
    const transport = w.transports.get(w.first) as Transport;
    await until(() => transport.connections === 0);
    track(await healthServer(['Check'], undefined, server.port));
    while (transport.connections === 0) await w.clock.advance(1_000);
    // It is asked again over this connection before anything else can be.
    await transport.connect();
    await w.clock.advance(100_000);
    expect([w.first.verdict, w.lines.length, w.events]).toEqual(['usable', 1, []]);
  });
});

describe('when the watch breaks', () => {
  test('the endpoint is not used, and is asked again at once when it had said something', async () => {
    const server = track(await healthServer());
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => server.watching.size === 1);
    await w.clock.advance(5_000);
    for (const call of server.watching) call.end();
    await until(() => w.first.verdict === 'unusable');
    await w.clock.advance(0);
    await until(() => w.first.verdict === 'usable');
    expect(server.asked).toEqual(['', '']);
  });

  test('a server that shuts down (GOAWAY) is not held by it, keeps its verdict meanwhile, and is asked over the next connection', async () => {
    const server = track(await healthServer());
    server.statuses.set('orders', 'NOT_SERVING');
    const w = watching('orders', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.first.verdict === 'unusable');
    // It would wait for the stream without end.
    await server.shutdown();
    expect(w.events).toHaveLength(1);
    const next = track(await healthServer(['Watch'], undefined, server.port));
    next.statuses.set('orders', 'SERVING');
    while (w.first.verdict === 'unusable') await w.clock.advance(1_000);
    expect(next.asked).toEqual(['orders']);
    expect(w.events.map((event) => 'healthy' in event && event.healthy)).toEqual([false, true]);
  });

  test('a server that answers and hangs up is asked once a second, not without end', async () => {
    let asked = 0;
    const server = track(
      await healthServer(['Watch'], (call) => {
        asked++;
        call.write({ status: 'SERVING' });
        call.end();
      }),
    );
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    const down = (): boolean => w.first.verdict === 'unusable';
    for (let expected = 1; expected <= 5; expected++) {
      await until(() => asked === expected && down());
      await w.clock.advance(999);
      expect(asked).toBe(expected);
      await w.clock.advance(1);
    }
  });

  test('who cannot be reached is asked again after 1 s, 1.6 s, 2.56 s and so on, each ± 20 %, up to 120 s', async () => {
    const s = checkSurroundings();
    const askedAt: number[] = [];
    const transport: Transport = {
      connections: 0,
      call: () => {
        askedAt.push(s.clock.now());
        return Promise.reject(new ConnectError('a', 'refused'));
      },
      connect: async () => {},
      close: async () => {},
    };
    const watch = new HealthWatch('', { name: 'reviews' }, { ...s.env, transportOf: () => transport });
    watch.update([new Checked('10.0.0.1:80', s.clock)]);
    await s.clock.advance(1_200_000);
    const waits = askedAt.slice(1).map((at, i) => at - (askedAt[i] as number));
    expect(waits.length).toBeGreaterThan(12);
    for (const [i, wait] of waits.entries()) {
      const ceiling = Math.min(120_000, 1_000 * 1.6 ** i);
      expect(wait).toBeGreaterThanOrEqual(ceiling * 0.8 - 1);
      expect(wait).toBeLessThanOrEqual(ceiling * 1.2 + 1);
    }
    // It is told once.
    expect(s.events).toHaveLength(1);
    watch.close();
    expect(s.clock.pending).toBe(0);
  });

  test('the connection is lost: not used until a new one says that it serves', async () => {
    const server = track(await healthServer());
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => server.watching.size === 1);
    await server.close();
    while (w.first.verdict === 'usable') await w.clock.advance(1_000);
    expect(w.lines.at(-1)?.message).toBe('endpoint does not serve');
  });

  test('a peer that breaks the protocol harms nobody', async () => {
    const server = track(await rawServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.first.verdict === 'unusable');
  });
});

describe('endpoints that come and go', () => {
  test('a newcomer among those that serve is used when it has said that it serves', async () => {
    const server = track(await healthServer());
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => server.watching.size === 1);
    // One turn more: the answer must have come.
    server.set('', 'NOT_SERVING');
    await until(() => w.first.verdict === 'unusable');
    server.set('', 'SERVING');
    await until(() => w.first.verdict === 'usable');
    const newcomer = new Checked(server.port, w.clock, { key: 'newcomer' });
    w.watch.update([w.first, newcomer]);
    expect(newcomer.verdict).toBe('unusable');
    await until(() => newcomer.verdict === 'usable');
  });

  test('the stream of one that is gone is cancelled', async () => {
    const server = track(await healthServer());
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => server.watching.size === 1);
    w.watch.update([]);
    await until(() => server.watching.size === 0);
  });

  test('another object of the same key is asked anew, and what was known holds until it answers', async () => {
    const server = track(await healthServer());
    server.statuses.set('', 'NOT_SERVING');
    const w = watching('', (clock) => [new Checked(server.port, clock)]);
    await until(() => w.first.verdict === 'unusable');
    const other = new Checked(server.port, w.clock);
    server.statuses.set('', 'SERVING');
    w.watch.update([other]);
    expect(other.verdict).toBe('unusable');
    await until(() => other.verdict === 'usable');
    expect(server.asked).toHaveLength(2);
  });
});

test('another service is asked for at once when the configuration says so', async () => {
  const server = track(await healthServer());
  server.statuses.set('orders', 'NOT_SERVING');
  const w = watching('', (clock) => [new Checked(server.port, clock)]);
  await until(() => server.watching.size === 1);
  w.watch.configure('', { name: 'reviews' });
  w.watch.configure('orders', { name: 'reviews' });
  await until(() => w.first.verdict === 'unusable');
  expect(server.asked).toEqual(['', 'orders']);
});

test('close cancels all streams and leaves no timer; health says nothing of it any more', async () => {
  const server = track(await healthServer());
  server.statuses.set('', 'NOT_SERVING');
  const w = watching('', (clock) => [new Checked(server.port, clock), new Checked('127.0.0.1:1', clock)]);
  await until(() => w.endpoints.every(({ verdict }) => verdict === 'unusable'));
  w.watch.close();
  expect(w.endpoints.map(({ verdict }) => verdict)).toEqual(['usable', 'usable']);
  await until(() => server.watching.size === 0);
  await Promise.all([...w.transports.values()].map((transport) => transport.close(true)));
  expect(w.clock.pending).toBe(0);
});
