import { afterEach, beforeEach, expect, test } from 'vitest';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import type { Reply } from '../../../src/core/reply.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { http2Server, type RunningServer, rawServer, text, until } from '../../support/http2-fixture.js';
import { aTarget } from '../../support/targets.js';

/* gRFC A61 among the endpoints of pick_first, over real connections: a server that accepts and says nothing stands for a host that drops what is sent. */

const opened: { close(): Promise<void> }[] = [];
let client: ReturnType<typeof failoverClient>;

beforeEach(() => {
  client = failoverClient({ env: { transports: { http1: http2Transport, http2: http2Transport } } });
});

afterEach(async () => {
  await client.destinations.close();
  for (const each of opened.splice(0)) await each.close();
  client.env.deadlines.close();
  expect(client.clock.pending).toBe(0);
});

const silent = async () => {
  const server = await rawServer((socket) => void socket.resume());
  opened.push(server);
  return server;
};

const answering = async (): Promise<RunningServer> => {
  const server = await http2Server();
  server.server.on('stream', (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
  opened.push(server);
  return server;
};

const at = ({ port }: { readonly port: number }): string => `127.0.0.1:${port}`;

/** The first call, on its way; `connectTimeoutMs` is far. */
const start = (...servers: readonly { readonly port: number }[]): Promise<Reply> => {
  const call = client.call();
  const config = leveled('reviews', [servers.map(at)], {
    protocol: 'http2',
    connectTimeoutMs: 20_000,
    balancer: { kind: 'pick_first', shuffle: false },
  });
  client.source.of('reviews').changed(aTarget([once()], [config]));
  return call;
};

test('a call that waits for the first for 250 ms gets the second, and the first is let go', async () => {
  const first = await silent();
  const second = await answering();
  const calls = [start(first, second), client.call()];
  await until(() => first.sockets.size === 1);
  await client.clock.advance(249);
  expect(second.sessions.size).toBe(0);
  await client.clock.advance(1);
  for (const reply of await Promise.all(calls)) {
    expect(reply.status).toBe(200);
    await text(reply.body);
  }
  await until(() => first.sockets.size === 0);
  // From now on nobody waits.
  expect((await client.call()).status).toBe(200);
  expect(second.sessions.size).toBe(1);
});

test('each further one has its turn 250 ms later, while those before are still tried', async () => {
  const [a, b] = [await silent(), await silent()];
  const c = await answering();
  const call = start(a, b, c);
  await until(() => a.sockets.size === 1);
  await client.clock.advance(250);
  await until(() => b.sockets.size === 1);
  expect(a.sockets.size).toBe(1);
  await client.clock.advance(250);
  expect((await call).status).toBe(200);
});

test('a first one that is there in time is not raced', async () => {
  const [first, second] = [await answering(), await answering()];
  expect((await start(first, second)).status).toBe(200);
  await client.clock.advance(1_000);
  expect((await client.call()).status).toBe(200);
  expect([first.sessions.size, second.sessions.size]).toEqual([1, 0]);
});

test('when none is there, the call fails once each was tried, and no race goes on', async () => {
  const [first, second] = [await silent(), await silent()];
  const call = start(first, second);
  call.catch(() => {});
  await until(() => first.sockets.size === 1);
  await client.clock.advance(250);
  await until(() => second.sockets.size === 1);
  await client.clock.advance(20_000);
  await expect(call).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
});
