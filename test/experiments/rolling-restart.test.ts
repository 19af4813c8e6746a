import { afterEach, expect, test } from 'vitest';
import { meshClient } from '../../src/index.js';
import { openFace } from '../e2e/support/faces.js';
import { type Restartable, RestartableGrpc, RestartableHttp } from './support/restartable.js';

/** Callers, each of which makes one call after the other. */
const CALLERS = 8;

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/*
 * A rolling restart of all endpoints under load, with real servers: each stops taking connections, ends what is under way, is gone, and comes back on its
 * port; the next one follows when calls have come to it again.
 */
test.each([
  { face: 'fetch' as const, make: (): Restartable => new RestartableHttp() },
  { face: 'gRPC' as const, make: (): Restartable => new RestartableGrpc() },
])('$face: all endpoints are restarted, one after the other, and no call fails', async ({ face: name, make }) => {
  const servers = [make(), make(), make(), make()];
  for (const server of servers) {
    await server.start();
    opened.push(() => server.kill());
  }
  const mesh = await meshClient({ services: { reviews: servers.map(({ port }) => `127.0.0.1:${port}`) } });
  opened.push(() => mesh.close());
  const face = await openFace(name, mesh, 'reviews');
  opened.push(() => face.close());

  let restarting = true;
  let made = 0;
  const failures: unknown[] = [];
  const caller = async (): Promise<void> => {
    while (restarting) {
      made++;
      await face.send().catch((error: unknown) => failures.push(error));
    }
  };
  const callers = Array.from({ length: CALLERS }, caller);
  for (const server of servers) await server.restart();
  restarting = false;
  await Promise.all(callers);

  expect(failures).toEqual([]);
  // All of them went on calling: how much is the machine's affair.
  expect(made).toBeGreaterThan(2 * CALLERS);
});
