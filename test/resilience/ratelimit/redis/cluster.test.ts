import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LimitState, LimitStore } from '../../../../src/core/limits.js';
import { settle } from '../../../support/fake-clock.js';
import { hasRedis, until } from '../../../support/redis.js';
import { RedisCluster } from '../../../support/redis-cluster.js';
import { allowedOf, perYear, REF, storesOf } from './support.js';

const LIMIT = perYear(200);
const nameOf = (key: string): string => `inmesh:calendar:year:UTC:${key}`;

describe.skipIf(!hasRedis())('a Redis cluster of three masters', () => {
  let cluster: RedisCluster;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  });
  afterAll(() => cluster?.stop());

  const open = (): LimitStore => storesOf(cluster.urls.slice(0, 1)).open(REF);

  it('keeps each count on the master that has its slot, found from one of them', async () => {
    const store = open();
    const keys = Array.from({ length: 60 }, (_, n) => `spread ${n}`);
    const states = await Promise.all(keys.map((key) => store.take(key, LIMIT, 1)));
    expect(allowedOf(states)).toBe(60);
    const counts = await Promise.all(cluster.masters.map(({ admin }) => admin.dbsize()));
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(counts.reduce((a, b) => a + b)).toBe(60);
    await store.close();
  });

  it.each([false, true])(
    'a slot that moves while it is counted in loses no count, and no call (leases: %s)',
    async (leased) => {
      const key = `moving ${leased}`;
      const lease = { maxPermits: 10, ttlMs: 60_000 };
      const stores = [0, 1].map(() => storesOf(cluster.urls).open({ ...REF, ...(leased && { lease }) }));
      const states: LimitState[] = [];
      let going = true;
      const callers = stores.map(async (store) => {
        while (going) {
          states.push(...(await Promise.all([1, 2, 3].map(() => store.take(key, LIMIT, 1)))));
          // What is decided here lets nobody else have a turn.
          await settle();
        }
      });
      await until(() => states.length > 20, 'calls are under way');
      const from = await cluster.ownerOf(nameOf(key));
      const some = async (): Promise<void> => {
        const now = states.length;
        await until(() => states.length > now + 20, 'calls go on');
      };
      await cluster.move(nameOf(key), from, (from + 1) % 3, some);
      await until(async () => (await cluster.ownerOf(nameOf(key))) !== from, 'the slot has moved');
      await until(() => states.length > 500, 'the limit is reached');
      going = false;
      await Promise.all(callers);
      expect(allowedOf(states)).toBe(200);
      await Promise.all(stores.map((store) => store.close()));
    },
  );

  it('with one master away the counts of the others go on, and its own when it is back', async () => {
    const store = storesOf(cluster.urls).open({ ...REF, timeoutMs: 200 });
    const keys = Array.from({ length: 30 }, (_, n) => `away ${n}`);
    const owners = await Promise.all(keys.map((key) => cluster.ownerOf(nameOf(key))));
    const others = keys.filter((_, i) => owners[i] !== 2);
    const its = keys.find((_, i) => owners[i] === 2) as string;
    await store.take(its, LIMIT, 1);
    cluster.masters[2]?.stall();
    await expect(store.take(its, LIMIT, 1)).rejects.toThrow('no answer within 200 ms');
    // Before the others have noticed, and stop serving because the cluster is not whole.
    const states = await Promise.all(others.map((key) => store.take(key, LIMIT, 1)));
    expect(allowedOf(states)).toBe(others.length);
    cluster.masters[2]?.goOn();
    await until(
      () =>
        Promise.resolve(store.take(its, LIMIT, 1)).then(
          ({ allowed }) => allowed,
          () => false,
        ),
      'its counts go on',
    );
    await store.close();
  });
});
