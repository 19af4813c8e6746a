import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Limit, LimitLease } from '../../../../src/core/model/limit.js';
import { compiled } from '../../../support/compiled.js';
import { hasRedis, RedisServer, until } from '../../../support/redis.js';
import { RedisCluster } from '../../../support/redis-cluster.js';
import type { Report, Work } from './process.js';
import { perYear, REF, storesOf } from './support.js';

const PROCESSES = 8;
/** Redis counts in whole milliseconds: what it takes for a span may be one longer in truth, or shorter. */
const GRAIN_MS = 1;
/** A process reckons wall time from its start on; the system may have set the clock since. */
const MARGIN_MS = 3;

/**
 * Where more was let through than the limit's definition allows, whenever within its call each was decided: in no span from the beginning of one call to the end of
 * another there are more calls, from beginning to end, than `most` says of its length. Undefined: nowhere.
 */
function excess(reports: readonly Report[], most: (spanMs: number) => number): string | undefined {
  const calls = reports.flat().sort(([a], [b]) => b - a);
  /** Ends of the calls that began no earlier, ascending. */
  const ends: number[] = [];
  for (const [began, ended] of calls) {
    let at = ends.length;
    while (at > 0 && (ends[at - 1] as number) > ended) at--;
    ends.splice(at, 0, ended);
    for (const [i, end] of ends.entries()) {
      const span = end - began;
      if (i + 1 > most(span)) return `${i + 1} in ${span} ms, ${most(span)} allowed`;
    }
  }
  return undefined;
}

describe.skipIf(!hasRedis())(`${PROCESSES} processes on one Redis`, () => {
  let redis: RedisServer;
  let processes: readonly ChildProcess[];
  beforeAll(async () => {
    redis = await RedisServer.start();
    const program = await compiled(join(import.meta.dirname, 'process.ts'));
    processes = Array.from({ length: PROCESSES }, () =>
      fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
    await Promise.all(processes.map((each) => once(each, 'message')));
  }, 120_000);
  afterAll(async () => {
    for (const each of processes ?? []) each.kill();
    await redis?.stop();
  });
  beforeEach(async () => {
    await redis.admin.flushall();
  });

  function run(limit: Limit, calls: number, lease?: LimitLease, timeoutMs = 10_000, url: Work['url'] = redis.url) {
    const order: Work = { url, limit, calls, lease, timeoutMs };
    return Promise.all(
      processes.map(async (each) => {
        const answered = once(each, 'message');
        each.send(order);
        return ((await answered) as [Report])[0];
      }),
    );
  }

  /** Runs until `meanwhile` is over. */
  async function runWhile(
    limit: Limit,
    meanwhile: () => Promise<void>,
    lease?: LimitLease,
    url: Work['url'] = redis.url,
  ) {
    const reports = run(limit, Number.MAX_SAFE_INTEGER, lease, 10_000, url);
    try {
      await meanwhile();
    } finally {
      for (const each of processes) each.send('stop');
    }
    return (await reports).flat();
  }

  const COUNT = 'inmesh:calendar:year:UTC:shared';
  const countedBy = async (server: RedisServer): Promise<number> =>
    Number((await server.admin.get(COUNT))?.split(' ')[1] ?? 0);

  const LEASE: LimitLease = { maxPermits: 50, ttlMs: 200 };
  const SPAN_MS = 100;

  describe.each([
    ['each call asks', undefined],
    ['with leases', LEASE],
  ] as const)('%s', (_, lease) => {
    it('use a quota up to the last request, and never one more', async () => {
      const reports = await run(perYear(1_000), 400, lease);
      const store = storesOf(redis.url).open(REF);
      let used = reports.flat().length;
      // Of permits that were held to the end and given back then.
      for (let n = 0; n < 1_000 && (await store.take('shared', perYear(1_000), 1)).allowed; n++) used++;
      await store.close();
      expect(used).toBe(1_000);
      if (lease === undefined) expect(reports.flat()).toHaveLength(1_000);
    });

    it('never pass a quota while Redis stalls again and again, and calls go on without its answer', async () => {
      let running = true;
      const reports = run(perYear(1_000), 2_000, lease, 20).finally(() => (running = false));
      while (running) {
        redis.stall();
        await new Promise((resolve) => setTimeout(resolve, 30));
        redis.goOn();
        await redis.admin.ping();
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      const used = (await reports).flat().length;
      expect(used).toBeLessThanOrEqual(1_000);
      expect(used).toBeGreaterThan(0);
    });

    it('are let through no more than a quota for each time that Redis is killed and started again, empty, and all of it at last', async () => {
      let lives = 1;
      const used = await runWhile(
        perYear(1_000),
        async () => {
          for (; lives < 4; lives++) {
            await until(async () => (await countedBy(redis)) > 100, 'it is counted');
            await redis.kill();
            await redis.resume();
          }
          await until(async () => (await countedBy(redis)) >= 1_000, 'the quota is used up');
        },
        lease,
      );
      expect(used.length).toBeLessThanOrEqual(lives * 1_000);
      expect(used.length).toBeGreaterThan(1_000);
    });

    it('lose no count while the slot that it is in moves to another node of a cluster', async () => {
      const cluster = await RedisCluster.start();
      try {
        let to = 0;
        const more = async (server: RedisServer): Promise<void> => {
          const before = await countedBy(server);
          await until(async () => (await countedBy(server)) > before + 100, 'calls go on');
        };
        const used = await runWhile(
          perYear(1_000_000),
          async () => {
            const from = await cluster.ownerOf(COUNT);
            to = (from + 1) % 3;
            const [source, target] = [cluster.masters[from], cluster.masters[to]] as [RedisServer, RedisServer];
            await more(source);
            let half = 0;
            await cluster.move(COUNT, from, to, async () => {
              if (half++ === 0) await more(source);
            });
            await more(target);
          },
          lease,
          cluster.urls,
        );
        const counted = await countedBy(cluster.masters[to] as RedisServer);
        expect(used.length).toBeLessThanOrEqual(counted);
        if (lease === undefined) expect(used).toHaveLength(counted);
      } finally {
        await cluster.stop();
      }
    });

    it('never pass the rate of a token bucket', async () => {
      const limit: Limit = { algorithm: 'token_bucket', requests: 50, perMs: SPAN_MS, burst: 60 };
      const reports = await run(limit, 400, lease);
      const most = (span: number): number => limit.burst + ((span + GRAIN_MS) * limit.requests) / limit.perMs;
      expect(excess(reports, most)).toBeUndefined();
      expect(reports.flat().length).toBeGreaterThanOrEqual(limit.burst);
    });

    it('never pass a sliding log in any span', async () => {
      const limit: Limit = { algorithm: 'sliding_log', requests: 60, perMs: SPAN_MS };
      const reports = await run(limit, 400, lease);
      const most = (span: number): number => (span <= SPAN_MS - GRAIN_MS ? limit.requests : Number.POSITIVE_INFINITY);
      expect(excess(reports, most)).toBeUndefined();
      expect(reports.flat().length).toBeGreaterThanOrEqual(limit.requests);
    });

    it.each(['fixed_window', 'sliding_window'] as const)('never pass a %s', async (algorithm) => {
      const limit: Limit = { algorithm, requests: 60, perMs: SPAN_MS };
      const reports = await run(limit, 400, lease);
      const windows = new Map<number, number>();
      for (const [began, ended] of reports.flat()) {
        const window = Math.floor(began / SPAN_MS);
        // Only of those that were surely decided in it, whatever a process's clock differs from the server's.
        if (began < window * SPAN_MS + MARGIN_MS || ended > (window + 1) * SPAN_MS - MARGIN_MS) continue;
        windows.set(window, (windows.get(window) ?? 0) + 1);
      }
      expect(Math.max(...windows.values())).toBeLessThanOrEqual(limit.requests);
      expect(reports.flat().length).toBeGreaterThanOrEqual(limit.requests);
    });
  });
});
