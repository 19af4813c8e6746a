import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LimitState, LimitStore } from '../../../../src/core/limits.js';
import type { Limit, LimitLease } from '../../../../src/core/model/limit.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { hasRedis, RedisServer } from '../../../support/redis.js';
import { excess, type Passed } from './oracle.js';
import { allowedOf, perYear, REF, storesOf, TEST_TIME_KEY, testScripts } from './support.js';

const EPOCH = Date.UTC(2024, 5, 1, 12);
const LEASE: LimitLease = { maxPermits: 16, ttlMs: 500 };

const LIMITS: readonly Limit[] = [
  { algorithm: 'token_bucket', requests: 100, perMs: 1_000, burst: 50 },
  { algorithm: 'token_bucket', requests: 30, perMs: 1_000, burst: 90 },
  { algorithm: 'fixed_window', requests: 60, perMs: 1_000 },
  { algorithm: 'sliding_window', requests: 70, perMs: 1_000 },
  { algorithm: 'sliding_log', requests: 60, perMs: 1_000 },
  { algorithm: 'calendar', requests: 80, per: 'minute', timeZone: 'UTC' },
];

describe.skipIf(!hasRedis())('leases', () => {
  let redis: RedisServer;
  let clock: FakeClock;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  beforeEach(async () => {
    await restart();
  });

  async function restart(): Promise<void> {
    clock = new FakeClock(0, EPOCH);
    await redis.admin.flushall();
    await redis.admin.set(TEST_TIME_KEY, clock.wallTime());
  }

  /** Redis's clock goes first: what a process thinks is never ahead of it. */
  async function advance(ms: number): Promise<void> {
    await redis.admin.set(TEST_TIME_KEY, clock.wallTime() + ms);
    await clock.advance(ms);
  }

  const open = (lease: LimitLease = LEASE): LimitStore =>
    storesOf(redis.url, { clock, scripts: testScripts }).open({ ...REF, lease });

  /** How often Redis was asked, since the server was started. */
  async function asked(): Promise<number> {
    const stats = await redis.admin.info('commandstats');
    return [...stats.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+),.*?rejected_calls=\d+,failed_calls=(\d+)/g)].reduce(
      (sum, [, calls, failed]) => sum + Number(calls) - Number(failed),
      0,
    );
  }

  /** Until a request that was sent in the background is answered: Redis serves in turn, and so do its replies come. */
  async function idle(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      await redis.admin.ping();
      await settle();
    }
  }

  it.each(LIMITS)('three processes together never pass the limit, whatever they hold: %o', async (limit) => {
    const step = fc.oneof(
      fc.record({ wait: fc.oneof(fc.nat(30), fc.nat(300), fc.nat(1_200)) }),
      fc.record({ process: fc.nat(2), calls: fc.integer({ min: 1, max: 25 }), cost: fc.constantFrom(1, 1, 1, 2, 5) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (sequence) => {
        await restart();
        const stores = [open(), open(), open()] as const;
        const log: Passed[] = [];
        try {
          for (const each of sequence) {
            if ('wait' in each) {
              await advance(each.wait);
              continue;
            }
            const store = stores[each.process] as LimitStore;
            const states = await Promise.all(
              Array.from({ length: each.calls }, () => store.take('k', limit, each.cost)),
            );
            for (const { allowed } of states) if (allowed) log.push({ at: clock.wallTime(), cost: each.cost });
            expect(excess(limit, log)).toBeUndefined();
          }
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      }),
      { numRuns: 20 },
    );
  });

  it('what calls by twos leave over of a sliding log is not used later, when it would not be counted for as long as it should', async () => {
    const store = open();
    const limit: Limit = { algorithm: 'sliding_log', requests: 5, perMs: 1_000 };
    const log: Passed[] = [];
    for (const { waitMs, calls, cost } of [
      { waitMs: 0, calls: 3, cost: 2 },
      { waitMs: 400, calls: 1, cost: 1 },
      { waitMs: 700, calls: 5, cost: 1 },
    ]) {
      await advance(waitMs);
      const states = await Promise.all(Array.from({ length: calls }, () => store.take('k', limit, cost)));
      for (const { allowed } of states) if (allowed) log.push({ at: clock.wallTime(), cost });
      await idle();
    }
    expect(excess(limit, log)).toBeUndefined();
    await store.close();
  });

  it('a key that is asked for once asks for no more than that', async () => {
    const store = open();
    const { remaining } = await store.take('k', perYear(1_000), 1);
    expect(remaining).toBe(999);
    const other = open();
    expect((await other.take('k', perYear(1_000), 1)).remaining).toBe(998);
    await Promise.all([store.close(), other.close()]);
  });

  it('a hot key is decided here, and asks for twice as much each time, up to the most that is allowed', async () => {
    const store = open({ maxPermits: 100, ttlMs: 60_000 });
    const before = await asked();
    let waited = 0;
    for (let call = 0; call < 2_000; call++) {
      const state = store.take('k', perYear(1_000_000), 1);
      if (state instanceof Promise) waited++;
      expect((await state).allowed).toBe(true);
      if (call % 10 === 0) await idle();
    }
    // 2, 4, 8, 16, 32, 64 and then hundreds; half of each is left when the next is fetched.
    expect((await asked()) - before).toBeLessThan(60);
    expect(waited).toBeLessThan(12);
    await store.close();
  });

  it('calls that wait for one key share a request', async () => {
    const store = open();
    const before = await asked();
    const states = await Promise.all(Array.from({ length: 500 }, () => store.take('k', perYear(300), 1)));
    expect(states.filter(({ allowed }) => allowed)).toHaveLength(300);
    // The first; all others; whether there is another one.
    expect((await asked()) - before).toBeLessThanOrEqual(3);
    await store.close();
  });

  it('a lease is a fair part of what is left at most', async () => {
    const store = open({ maxPermits: 1_000, ttlMs: 60_000 });
    const limit = perYear(100);
    for (let call = 0; call < 50; call++) await store.take('k', limit, 1);
    await idle();
    // Half is used; of the other half it may hold what was a tenth when it asked.
    expect(await left(limit)).toBeGreaterThanOrEqual(44);
    await store.close();
  });

  it('nobody is refused while there are permits, down to the last', async () => {
    const store = open();
    let allowed = 0;
    for (let call = 0; call < 120; call++) {
      if ((await store.take('k', perYear(100), 1)).allowed) allowed++;
      await idle();
    }
    expect(allowed).toBe(100);
    await store.close();
  });

  it('what was refused is refused here until Redis said that it may come again', async () => {
    const store = open({ maxPermits: 4, ttlMs: 60_000 });
    const limit: Limit = { algorithm: 'fixed_window', requests: 3, perMs: 1_000 };
    await Promise.all([1, 2, 3].map(() => store.take('k', limit, 1)));
    expect(await store.take('k', limit, 1)).toMatchObject({ allowed: false, retryAfterMs: 999 });
    const before = await asked();
    for (let call = 0; call < 50; call++) expect(store.take('k', limit, 1)).toMatchObject({ allowed: false });
    expect(await asked()).toBe(before);
    await advance(1_000);
    expect((await store.take('k', limit, 1)).allowed).toBe(true);
    await store.close();
  });

  it('a refusal that is remembered says when Redis lets it through, however long that is', async () => {
    const store = open({ maxPermits: 4, ttlMs: 500 });
    const limit: Limit = { algorithm: 'fixed_window', requests: 1, perMs: 60_000 };
    await store.take('k', limit, 1);
    expect(await store.take('k', limit, 1)).toMatchObject({ allowed: false, retryAfterMs: 59_999 });
    await advance(400);
    expect(store.take('k', limit, 1)).toMatchObject({ allowed: false, retryAfterMs: 59_599 });
    await store.close();
  });

  it('a flood of fresh keys does not take the permits of one that is hot', async () => {
    const store = open({ maxPermits: 100, ttlMs: 60_000 });
    await hold(store, perYear(1_000));
    const fresh = Array.from({ length: 10_100 }, (_, n) => `fresh ${n}`);
    for (let from = 0; from < fresh.length; from += 1_000) {
      await Promise.all(fresh.slice(from, from + 1_000).map((key) => store.take(key, perYear(1_000), 1)));
    }
    expect(store.take('k', perYear(1_000), 1)).not.toBeInstanceOf(Promise);
    await store.close();
  });

  it('a dear request that is refused keeps no cheap one out', async () => {
    const store = open();
    const limit = perYear(10);
    expect((await store.take('k', limit, 8)).allowed).toBe(true);
    expect((await store.take('k', limit, 5)).allowed).toBe(false);
    expect((await store.take('k', limit, 2)).allowed).toBe(true);
    await store.close();
  });

  async function hold(store: LimitStore, limit: Limit): Promise<void> {
    for (let call = 0; call < 8; call++) {
      await store.take('k', limit, 1);
      await idle();
    }
  }

  const left = async (limit: Limit): Promise<number> => {
    const other = open();
    const { remaining } = await other.take('k', limit, 0);
    await other.close();
    return remaining;
  };

  it('a permit of a token bucket is good until its turn is over: then the bucket has it again', async () => {
    const limit: Limit = { algorithm: 'token_bucket', requests: 100, perMs: 1_000, burst: 100 };
    const store = open();
    await hold(store, limit);
    expect(await left(limit)).toBeLessThan(92);
    // Longer than it takes to fill the bucket, shorter than the lease lasts.
    await advance(400);
    const states = await Promise.all(Array.from({ length: 300 }, () => store.take('k', limit, 1)));
    expect(allowedOf(states)).toBe(100);
    await store.close();
  });

  it('permits that were not used in their time are given back', async () => {
    const store = open();
    await hold(store, perYear(1_000));
    expect(await left(perYear(1_000))).toBeLessThan(992);
    await advance(LEASE.ttlMs);
    await idle();
    expect(await left(perYear(1_000))).toBe(992);
    await store.close();
  });

  it('a store that is closed gives back what it holds, and leaves no timer', async () => {
    const store = open();
    await hold(store, perYear(1_000));
    await store.close();
    expect(await left(perYear(1_000))).toBe(992);
    expect(clock.pending).toBe(0);
  });

  it('what another rule refused goes back, wherever it was decided', async () => {
    const store = open();
    const limit = perYear(1_000);
    await hold(store, limit);
    const here = store.take('k', limit, 1);
    expect(here).not.toBeInstanceOf(Promise);
    store.giveBack?.('k', limit, 1, here as LimitState);
    await store.close();
    expect(await left(limit)).toBe(992);
  });

  it('keys that are not used any more are forgotten', async () => {
    const store = open();
    for (let key = 0; key < 50; key++) await store.take(`k${key}`, perYear(1_000), 1);
    await advance(LEASE.ttlMs);
    await advance(LEASE.ttlMs);
    // The sweep ends with the last key.
    expect(clock.pending).toBe(0);
    await store.close();
  });
});
