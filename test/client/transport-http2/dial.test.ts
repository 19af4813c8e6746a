import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { dial } from '../../../src/client/transport/http2/dial.js';
import { systemClock } from '../../../src/core/clock.js';
import type { Address } from '../../../src/core/model/endpoint.js';
import { FakeClock } from '../../support/fake-clock.js';
import { until } from '../../support/http2-fixture.js';
import { tlsFor } from '../../support/tls.js';

const servers: Server[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
});

async function listening(): Promise<Address> {
  const server = createServer((socket) => sockets.push(socket));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return { host: '127.0.0.1', port: typeof address === 'object' && address !== null ? address.port : 0 };
}

/** A port on which nothing listens any more. */
async function refusing(): Promise<Address> {
  const address = await listening();
  await new Promise((resolve) => servers.pop()?.close(resolve));
  return address;
}

const none = (): void => {};
const unheard = { connected: none, failed: none, drain: none };

const outcome = (addresses: Address[]): Promise<Socket | Error> =>
  new Promise((resolve) =>
    dial(addresses, undefined, systemClock, { ...unheard, connected: resolve, failed: resolve }),
  );

describe('dialling the addresses of an endpoint', () => {
  test('one that refuses is followed by the next at once', async () => {
    const good = await listening();
    const socket = (await outcome([await refusing(), good])) as Socket;
    sockets.push(socket);
    expect(socket.remotePort).toBe(good.port);
  });

  test('when all refuse, the last error is told', async () => {
    const last = await refusing();
    const error = await outcome([await refusing(), last]);
    expect(error).toBeInstanceOf(Error);
    expect((error as Error).message).toContain(String(last.port));
  });

  test('giving up leaves no timer and tells nobody', async () => {
    const clock = new FakeClock();
    let told = 0;
    const count = (): void => {
      told++;
    };
    const giveUp = dial([await listening(), await listening()], undefined, clock, {
      connected: count,
      failed: count,
      drain: count,
    });
    expect(clock.pending).toBe(1);
    giveUp();
    expect(clock.pending).toBe(0);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(told).toBe(0);
  });

  test('one that is long in answering gets company after 250 ms, and is tried on (RFC 8305)', async () => {
    const clock = new FakeClock();
    // It accepts, and says nothing in the TLS handshake.
    const first = await listening();
    const second = await listening();
    const giveUp = dial([first, second], tlsFor('reviews'), clock, unheard);
    const dialled = (): (number | undefined)[] => sockets.map(({ localPort }) => localPort);
    await until(() => sockets.length === 1);
    await clock.advance(249);
    expect(dialled()).toEqual([first.port]);
    await clock.advance(1);
    await until(() => sockets.length === 2);
    expect(dialled()).toEqual([first.port, second.port]);
    expect(sockets[0]?.closed).toBe(false);
    giveUp();
    expect(clock.pending).toBe(0);
  });

  test('the head start of the first ends when it answers', async () => {
    const clock = new FakeClock();
    const first = await listening();
    let connected: Socket | undefined;
    dial([first, await listening()], undefined, clock, {
      ...unheard,
      connected: (socket) => {
        connected = socket;
        sockets.push(socket);
      },
      failed: (error) => expect.fail(error.message),
    });
    await until(() => connected !== undefined);
    expect(connected?.remotePort).toBe(first.port);
    expect(clock.pending).toBe(0);
  });
});
