import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';
import { hasRedis, RedisServer, until } from '../../support/redis.js';
import { Backend } from '../support/backend.js';

/* A limit in Redis, from YAML to the caller, with Redis lost and found again in each mode of failure. */

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const LIMIT = 6;
const COUNT = 'inmesh:calendar:year:UTC:*';

const yaml = (port: number, onStoreFailure: string, timeout: string, lease: string): string => `apiVersion: v1
kind: Service
metadata: { name: orders }
spec: { endpoints: ["127.0.0.1:${port}"] }
---
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: p }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  limits:
    - name: shared
      limit: { requests: ${LIMIT}, per: year }
      store: { redis: { timeout: ${timeout}${lease} } }
      onStoreFailure: ${onStoreFailure}
`;

interface Outcome {
  readonly ok: boolean;
  /** Why not: the flag. */
  readonly flag: string | undefined;
  readonly remaining: string | null | undefined;
}

async function ask(mesh: Mesh): Promise<Outcome> {
  try {
    const reply = await mesh.fetch('http://orders/');
    await reply.text();
    return { ok: reply.ok, flag: undefined, remaining: reply.headers.get('x-ratelimit-remaining') };
  } catch (error) {
    const { flag } = (error as { readonly cause: { readonly flag: string } }).cause;
    return { ok: false, flag, remaining: undefined };
  }
}

async function asks(mesh: Mesh, calls: number): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (let call = 0; call < calls; call++) outcomes.push(await ask(mesh));
  return outcomes;
}

const passed = (outcomes: readonly Outcome[]): number => outcomes.filter(({ ok }) => ok).length;

describe.skipIf(!hasRedis())('a limit in Redis', () => {
  async function start(onStoreFailure: string, leased: boolean, timeout = '250ms') {
    const redis = await RedisServer.start();
    closing.push(() => redis.stop());
    const backend = await Backend.start('orders');
    closing.push(() => backend.kill());
    const folder = mkdtempSync(join(tmpdir(), 'inmesh-redis-'));
    closing.push(() => rmSync(folder, { recursive: true }));
    const config = join(folder, 'mesh.yaml');
    writeFileSync(config, yaml(backend.httpPort, onStoreFailure, timeout, leased ? ', lease: { maxPermits: 2 }' : ''));
    const told: string[] = [];
    const open = (): Mesh => {
      const tell = (message: string): void => void told.push(message);
      const logger = { ...silentLogger, info: tell, warn: tell };
      const mesh = meshClient({ config, redis: { default: redis.url }, logger });
      closing.push(() => mesh.close());
      return mesh;
    };
    /** What Redis has counted. */
    const counted = async (): Promise<number> => {
      const [key] = await redis.admin.keys(COUNT);
      return key === undefined ? 0 : Number((await redis.admin.get(key))?.split(' ')[1]);
    };
    return { redis, open, counted, told };
  }

  describe.each([false, true])('leases: %s', (leased) => {
    test('is one for all processes, and told in the headers of the replies', async () => {
      const { open } = await start('deny', leased, '10s');
      const [a, b] = [open(), open()];
      expect(passed([...(await asks(a, 2)), ...(await asks(b, 2))])).toBe(4);
      if (!leased) expect(await ask(a)).toEqual({ ok: true, flag: undefined, remaining: '1' });
      const rest = [...(await asks(a, 5)), ...(await asks(b, 5))];
      expect(passed(rest)).toBe(leased ? 2 : 1);
      expect(rest.at(-1)).toEqual({ ok: false, flag: 'RL', remaining: undefined });
    });

    describe.each(['allow', 'deny', 'local'])('onStoreFailure: %s', (mode) => {
      test.each(['killed', 'stalled'])('Redis %s mid-run, and back', async (how) => {
        const { redis, open, counted, told } = await start(mode, leased);
        const mesh = open();
        expect(passed(await asks(mesh, 3))).toBe(3);
        if (how === 'killed') await redis.kill();
        else redis.stall();
        // Permits that were taken in advance are good without it; the rest is as the policy says.
        const held = leased ? await asks(mesh, 2) : [];
        const without = await asks(mesh, 12);
        if (mode === 'allow') expect(passed([...held, ...without])).toBe(held.length + 12);
        if (mode === 'deny') {
          expect(passed([...held, ...without])).toBeLessThanOrEqual(held.length);
          expect(without.at(-1)).toMatchObject({ ok: false, flag: 'RLSE' });
        }
        if (mode === 'local') {
          // This process counts by itself, from nothing.
          expect(passed([...held, ...without])).toBeGreaterThanOrEqual(LIMIT);
          expect(passed([...held, ...without])).toBeLessThanOrEqual(LIMIT + held.length);
          expect(without.at(-1)).toMatchObject({ ok: false, flag: 'RL' });
        }
        if (how === 'killed') await redis.resume();
        else redis.goOn();
        const before = how === 'killed' ? 0 : await counted();
        await until(async () => {
          await ask(mesh);
          // What it says is Redis's again: it counts, or refuses because it has counted all.
          return (await counted()) > before || (await counted()) === LIMIT;
        }, 'Redis counts again');
        await asks(mesh, 12);
        expect(await counted()).toBe(LIMIT);
        expect((await asks(mesh, 3)).at(-1)).toEqual({ ok: false, flag: 'RL', remaining: undefined });
        const ofStore = told.filter((message) => message.includes('store of limits'));
        expect(ofStore).toEqual(['the store of limits does not answer', 'the store of limits answers again']);
      });
    });
  });
});
