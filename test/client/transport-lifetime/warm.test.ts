import { afterEach, describe, expect, test } from 'vitest';
import { DEFAULT_CONNECTIONS } from '../../../src/core/model/connection.js';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import * as http1 from '../../support/http1-fixture.js';
import * as http2 from '../../support/http2-fixture.js';
import { inTurns } from '../../support/in-turns.js';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { silentLogger } from '../../../src/core/log.js';

const { until } = http2;

interface Scenario {
  readonly warm: number;
  readonly limits?: CountingLimits;
  readonly maxLifetimeMs?: number;
  readonly idleTimeoutMs?: number;
}

/** A server of one of the protocols, and a transport that has just been made to it. */
interface Running {
  readonly transport: http1.OpenTransport['transport'];
  readonly limits: CountingLimits;
  /** Connections that the server has now. */
  readonly open: () => number;
  readonly accepted: () => number;
  /** The server hangs up on all. */
  readonly hangUp: () => void;
  readonly stop: () => Promise<void>;
  readonly call: () => Promise<number>;
}

const protocols = {
  'HTTP/1.1': async (options: object): Promise<Running> => {
    const server = await http1.httpServer((_request, response) => response.end('ok'));
    const { transport, limits } = http1.transportTo(server.port, options);
    return {
      transport,
      limits,
      open: () => server.sockets.size,
      accepted: server.accepted,
      hangUp: () => {
        for (const socket of server.sockets) socket.destroy();
      },
      stop: () => server.close(),
      call: async () => {
        const reply = await transport.call(aCall());
        await http1.textOf(reply.body);
        return reply.status;
      },
    };
  },
  'HTTP/2': async (options: object): Promise<Running> => {
    const server = await http2.http2Server();
    let accepted = 0;
    server.server.on('session', () => accepted++);
    server.server.on('stream', (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
    const { transport, limits } = http2.transportTo(server.port, options);
    return {
      transport,
      limits,
      open: () => server.sessions.size,
      accepted: () => accepted,
      hangUp: () => {
        for (const session of server.sessions) session.destroy();
      },
      stop: () => server.close(),
      call: async () => {
        const reply = await transport.call(http2.callOf());
        await http2.text(reply.body);
        return reply.status;
      },
    };
  },
};

describe.each(Object.entries(protocols))('connections kept warm, %s', (_name, run) => {
  let running: Running;
  let clock: FakeClock;

  const start = async ({ warm, maxLifetimeMs = 0, ...rest }: Scenario): Promise<void> => {
    clock = new FakeClock();
    running = await run({
      connections: { ...DEFAULT_CONNECTIONS, warm, maxLifetimeMs },
      random: { next: () => 0.5, int: () => 0 },
      clock,
      ...rest,
    });
  };

  afterEach(async () => {
    await running.transport.close(true);
    await running.stop();
    expect([running.limits.open, running.limits.waiting, running.transport.connections, clock.pending]).toEqual([
      0, 0, 0, 0,
    ]);
  });

  test('are there before any call, and calls use them', async () => {
    await start({ warm: 3 });
    await until(() => running.transport.connections === 3 && running.open() === 3);
    await inTurns(50, 1, async () => expect(await running.call()).toBe(200));
    expect(running.accepted()).toBe(3);
  });

  test('can be waited for: all of them, by any number of those who ask, before and after', async () => {
    await start({ warm: 3 });
    const { transport } = running;
    await Promise.all([transport.warmed?.(), transport.warmed?.()]);
    expect(transport.connections).toBe(3);
    await transport.warmed?.();
  });

  test('are waited for no longer than there is hope: not beyond the limits, and not when the transport closes', async () => {
    await start({ warm: 5, limits: new CountingLimits(2) });
    await running.transport.warmed?.();
    await running.transport.close(true);
    await running.transport.warmed?.();
  });

  test('are opened again when the server hangs up, but not again within a second', async () => {
    await start({ warm: 2 });
    await until(() => running.transport.connections === 2 && running.open() === 2);
    running.hangUp();
    await until(() => running.transport.connections === 0);
    await clock.advance(999);
    expect(running.accepted()).toBe(2);
    await clock.advance(1);
    await until(() => running.transport.connections === 2 && running.open() === 2);
    await clock.advance(60_000);
    running.hangUp();
    await until(() => running.accepted() === 5 && running.transport.connections === 1);
    await clock.advance(1_000);
    await until(() => running.accepted() === 6 && running.transport.connections === 2);
  });

  test('are replaced when they are idle for too long, or too old', async () => {
    await start({ warm: 1, idleTimeoutMs: 60_000, maxLifetimeMs: 90_000 });
    await until(() => running.transport.connections === 1);
    await clock.advance(60_000);
    await until(() => running.accepted() === 2 && running.open() === 1);
    await clock.advance(59_000);
    await running.call();
    await clock.advance(31_000);
    await until(() => running.accepted() === 3 && running.open() === 1);
  });

  test('are not more than the cluster allows', async () => {
    await start({ warm: 5, limits: new CountingLimits(2) });
    await until(() => running.transport.connections === 2);
    expect(running.limits.open).toBe(2);
    expect(await running.call()).toBe(200);
  });

  test('end with the transport, those being made as well', async () => {
    await start({ warm: 2 });
    await running.transport.close();
    await until(() => running.open() === 0);
    expect(clock.pending).toBe(0);
  });
});

test('an endpoint that cannot be reached is tried at growing intervals, and a call says why at once', async () => {
  const closed = await http1.httpServer(() => {});
  await closed.close();
  const clock = new FakeClock();
  const limits = new CountingLimits();
  const transport = http2Transport({
    endpoint: http2.endpointAt(closed.port),
    tls: undefined,
    connectTimeoutMs: 5_000,
    idleTimeoutMs: 300_000,
    limits,
    connections: { ...DEFAULT_CONNECTIONS, warm: 1 },
    random: { next: () => 0.5, int: () => 0 },
    clock,
    logger: silentLogger,
  });
  // Who waits for the connections learns that there are none, and is not kept.
  await transport.warmed?.();
  const attempts: number[] = [];
  for (const wait of [0, 1_000, 1_600, 2_560]) {
    await clock.advance(wait);
    await until(() => limits.open === 0 && clock.pending === 1);
    attempts.push(clock.now());
  }
  expect(attempts).toEqual([1_000, 2_000, 3_600, 6_160]);
  await expect(transport.call(http2.callOf())).rejects.toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  await transport.close();
  expect([limits.open, limits.waiting, clock.pending]).toEqual([0, 0, 0]);
});
