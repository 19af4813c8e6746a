import { afterEach, expect, test } from 'vitest';
import { http2Transport } from '../../../src/client/transport/http2/transport.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { http2Server, rawServer, until } from '../../support/http2-fixture.js';
import { aTarget } from '../../support/targets.js';

/* A server that accepts and says nothing stands for a host that drops what is sent to it: only time shows that it cannot be reached. */

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

test.each([
  ['beside it', 1],
  ['in the priority below', 2],
])(
  'a host that answers nobody costs one call the connect timeout, and none after it: another %s serves',
  async (_, levels) => {
    const client = failoverClient({ env: { transports: { http1: http2Transport, http2: http2Transport } } });
    const silent = await rawServer((socket) => void socket.resume());
    const well = await http2Server();
    well.server.on('stream', (stream) => stream.respond({ ':status': 200 }, { endStream: true }));
    closing.push(
      () => client.destinations.close(),
      () => silent.close(),
      () => well.close(),
    );
    const [a, b] = [`127.0.0.1:${silent.port}`, `127.0.0.1:${well.port}`];
    const call = async (): Promise<number> => (await client.call()).status;
    const calls = [call(), call()];
    const config = leveled('reviews', levels === 1 ? [[a, b]] : [[a], [b]], {
      protocol: 'http2',
      connectTimeoutMs: 1_000,
      balancer: { kind: 'round_robin' },
    });
    client.source.of('reviews').changed(aTarget([once()], [config]));
    await until(() => silent.sockets.size === 1);
    await client.clock.advance(1_000);
    expect(await Promise.all(calls)).toEqual([200, 200]);
    // From now on time stands still while calls are made: they wait for nothing.
    for (const lookAfterMs of [1_250, 2_000, 3_200]) {
      await until(() => silent.sockets.size === 0);
      await client.clock.advance(lookAfterMs);
      for (let i = 0; i < 10; i++) expect(await call()).toBe(200);
      // It is being connected to meanwhile.
      await until(() => silent.sockets.size === 1);
      await client.clock.advance(1_000);
    }
    await client.destinations.close();
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  },
);
