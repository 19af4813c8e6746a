import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { aCall } from '../../support/calls.js';
import { CountingLimits } from '../../support/counting-limits.js';
import { FakeClock } from '../../support/fake-clock.js';
import * as http1 from '../../support/http1-fixture.js';
import * as http2 from '../../support/http2-fixture.js';

const { until } = http2;

type Transport = http1.OpenTransport['transport'];

/** A server of one of the protocols, and a transport that has just been made to it. */
interface Running {
  readonly transport: Transport;
  readonly limits: CountingLimits;
  readonly accepted: () => number;
  readonly stop: () => Promise<void>;
  readonly call: () => Promise<number>;
}

const protocols = {
  'HTTP/1.1': {
    async run(options: object): Promise<Running> {
      const server = await http1.httpServer((_request, response) => response.end('ok'));
      const { transport, limits } = http1.transportTo(server.port, options);
      const call = async (): Promise<number> => {
        const reply = await transport.call(aCall());
        await http1.textOf(reply.body);
        return reply.status;
      };
      return { transport, limits, accepted: server.accepted, stop: () => server.close(), call };
    },
    to: http1.transportTo,
  },
  'HTTP/2': {
    async run(options: object): Promise<Running> {
      const server = await http2.http2Server();
      let accepted = 0;
      server.server.on('session', () => accepted++);
      server.server.on('stream', (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
      const { transport, limits } = http2.transportTo(server.port, options);
      const call = async (): Promise<number> => {
        const reply = await transport.call(http2.callOf());
        await http2.text(reply.body);
        return reply.status;
      };
      return { transport, limits, accepted: () => accepted, stop: () => server.close(), call };
    },
    to: http2.transportTo,
  },
};

describe.each(Object.entries(protocols))('a connection without a call, %s', (_name, { run, to }) => {
  let running: Running;
  let clock: FakeClock;

  beforeEach(async () => {
    clock = new FakeClock();
    running = await run({ clock });
  });

  afterEach(async () => {
    await running.transport.close(true);
    await running.stop();
    expect([running.limits.open, running.limits.waiting]).toEqual([0, 0]);
    expect(clock.pending).toBe(0);
  });

  test('is made once, however many ask for it, and carries the next call', async () => {
    const { transport, accepted, call } = running;
    await Promise.all([transport.connect(), transport.connect(), transport.connect()]);
    await transport.connect();
    expect(transport.connections).toBe(1);
    expect(await call()).toBe(200);
    await until(() => accepted() > 0);
    expect(accepted()).toBe(1);
    expect(running.limits.open).toBe(1);
  });

  test('is there when a call has one', async () => {
    await running.call();
    await running.transport.connect();
    expect(running.accepted()).toBe(1);
  });

  test('that nobody uses is closed when its idle time is over', async () => {
    await running.transport.connect();
    await clock.advance(300_000);
    await until(() => running.transport.connections === 0 && running.limits.open === 0);
  });

  test('fails for all who wait when nobody is there, and holds no permit', async () => {
    const limits = new CountingLimits();
    const { transport } = to(1, { limits });
    const both = await Promise.allSettled([transport.connect(), transport.connect()]);
    for (const one of both) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'CONNECT_FAILED' } });
    expect(limits.open).toBe(0);
    await expect(transport.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    await transport.close();
  });

  test('is not waited for any more when the transport is closed', async () => {
    const { transport } = running;
    const connected = transport.connect();
    connected.catch(() => {});
    await transport.close(true);
    await expect(connected).rejects.toMatchObject({ reached: 'no' });
    await expect(transport.connect()).rejects.toMatchObject({ reached: 'no' });
  });
});

test('a server that accepts and says nothing costs the connect timeout, HTTP/2', async () => {
  const server = await http2.rawServer(() => {});
  const clock = new FakeClock();
  const { transport, limits } = http2.transportTo(server.port, { clock, connectTimeoutMs: 1_000 });
  const connected = transport.connect();
  connected.catch(() => {});
  await until(() => server.sockets.size === 1);
  await clock.advance(1_000);
  await expect(connected).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  expect(limits.open).toBe(0);
  await transport.close(true);
  await server.close();
});

test('where the limits allow no other beside those that drain, it is not waited for, HTTP/2', async () => {
  const server = await http2.http2Server();
  server.server.on('stream', (stream) => stream.respond({ ':status': 200 }));
  const { transport } = http2.transportTo(server.port, { limits: new CountingLimits(1, 10) });
  // Each has a stream that goes on, on a connection that takes no other.
  for (let drained = 1; drained <= 2; drained++) {
    const call = http2.callOf();
    const draining = new Promise<void>((resolve) => {
      call.onDraining = resolve;
    });
    await transport.call(call);
    for (const session of server.sessions) session.goaway();
    await draining;
  }
  await expect(transport.connect()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
  await transport.close(true);
  await server.close();
});
