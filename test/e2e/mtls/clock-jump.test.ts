import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startWorkload, type Workload } from './process.js';

/** libfaketime, which moves a process's wall clock while it runs (scripts/lib/extras.mjs). */
const library = process.env['INMESH_FAKETIME'];
const SHOP = 'spiffe://cluster.local/ns/default/sa/shop';

let folder: string;
const workloads: Workload[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-clock-'));
});
afterEach(async () => {
  await Promise.all(workloads.splice(0).map((workload) => workload.close()));
  await rm(folder, { recursive: true });
});

async function workload(...[start, env]: Parameters<typeof startWorkload>): Promise<Workload> {
  const started = await startWorkload(start, env);
  workloads.push(started);
  return started;
}

describe.skipIf(library === undefined)('a wall clock that jumps', () => {
  /** Moves the clock of whoever was started with the result of this. */
  const move = (offset: string): Promise<void> => writeFile(join(folder, 'offset'), offset);
  const moved = () => ({
    LD_PRELOAD: library as string,
    FAKETIME_TIMESTAMP_FILE: join(folder, 'offset'),
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  });

  async function configured(): Promise<{ readonly config: string; readonly port: number }> {
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    await new Promise((resolve) => probe.close(resolve));
    const config = join(folder, 'mesh.yaml');
    const lines = ['apiVersion: v1', 'kind: Service', 'metadata: { name: reviews }', 'spec:', '  mtls: strict'];
    await writeFile(config, [...lines, `  endpoints: ["127.0.0.1:${port}"]`].join('\n'));
    return { config, port };
  }

  const wallTime = async (of: Workload): Promise<number> => (await of.ask({ wallTime: true })) as number;
  const HOUR = 3_600_000;
  const JUMPS = [
    ['+1h', HOUR],
    ['-1h', -HOUR],
    ['+0', 0],
  ] as const;

  test.each(['caller', 'server'] as const)(
    'an hour each way at the %s fails no call',
    async (who) => {
      await move('+0');
      const { config, port } = await configured();
      const env = (name: string) => (name === who ? moved() : {});
      const server = await workload(
        { service: 'reviews', mesh: { config }, serve: `127.0.0.1:${port}` },
        env('server'),
      );
      const caller = await workload({ service: 'shop', mesh: { config }, serve: undefined }, env('caller'));
      for (const [offset, ms] of JUMPS) {
        await move(offset);
        const jumped = who === 'caller' ? caller : server;
        expect(Math.abs((await wallTime(jumped)) - Date.now() - ms)).toBeLessThan(60_000);
        for (let i = 0; i < 20; i++) expect(await caller.ask({ fetch: 'http://reviews/' })).toBe(SHOP);
        // Whoever comes now shakes hands anew, with a clock that is right.
        const late = await workload({ service: 'shop', mesh: { config }, serve: undefined });
        expect(await late.ask({ fetch: 'http://reviews/' })).toBe(SHOP);
      }
    },
    120_000,
  );

  test.each(['+1h', '-1h'])(
    'who starts with a clock that is off by %s believes the others, and is believed',
    async (offset) => {
      await move(offset);
      const { config, port } = await configured();
      await workload({ service: 'reviews', mesh: { config }, serve: `127.0.0.1:${port}` });
      const caller = await workload({ service: 'shop', mesh: { config }, serve: undefined }, moved());
      expect(await caller.ask({ fetch: 'http://reviews/' })).toBe(SHOP);
    },
  );
});
