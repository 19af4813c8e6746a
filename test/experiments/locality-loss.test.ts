import { afterEach, expect, test } from 'vitest';
import { meshClient } from '../../src/index.js';
import { inLocalities } from './support/localities.js';
import { openFace } from '../e2e/support/faces.js';
import { type Restartable, RestartableGrpc, RestartableHttp } from './support/restartable.js';

/** Callers, each of which makes one call after the other. */
const CALLERS = 8;

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

/*
 * A locality lost and regained under load, with real servers: all of the near ones go away, and come back on their ports; the far ones serve meanwhile.
 * (How calls spread at that moment is measured in virtual time: balancing.test.ts.)
 */
test.each([
  { face: 'fetch' as const, make: (): Restartable => new RestartableHttp() },
  { face: 'gRPC' as const, make: (): Restartable => new RestartableGrpc() },
])(
  '$face: the far locality serves while the near one is gone, and no longer; no call fails',
  async ({ face, make }) => {
    const near = [make(), make(), make()];
    const far = [make(), make(), make()];
    const seen = new Map<Restartable, number>();
    for (const server of [...near, ...far]) {
      await server.start();
      server.calls.on('call', () => seen.set(server, (seen.get(server) ?? 0) + 1));
      opened.push(() => server.kill());
    }
    const count = (servers: readonly Restartable[]): number =>
      servers.reduce((sum, server) => sum + (seen.get(server) ?? 0), 0);
    const { file, remove } = inLocalities('reviews', { near, far });
    opened.push(remove);
    const mesh = meshClient({ config: file });
    opened.push(() => mesh.close());
    const { send, close } = await openFace(face, mesh, 'reviews');
    opened.push(close);

    let calling = true;
    const failures: unknown[] = [];
    const caller = async (): Promise<void> => {
      while (calling) await send().catch((error: unknown) => failures.push(error));
    };
    const callers = Array.from({ length: CALLERS }, caller);
    /** Resolves when so many calls have come to these. */
    const reached = async (servers: readonly Restartable[], calls: number): Promise<void> => {
      while (count(servers) < calls) await new Promise((resolve) => setImmediate(resolve));
    };

    await reached(near, 100);
    expect(count(far)).toBe(0);
    await Promise.all(near.map((server) => server.drain()));
    await reached(far, 100);
    seen.clear();
    await Promise.all(near.map((server) => server.start()));
    // Looked at beside the calls until they are found to be back; then each of them serves.
    for (const server of near) await reached([server], 20);
    seen.clear();
    await reached(near, 200);
    // Those that were under way when the near ones were found.
    expect(count(far)).toBeLessThanOrEqual(CALLERS);
    calling = false;
    await Promise.all(callers);
    expect(failures).toEqual([]);
  },
);
