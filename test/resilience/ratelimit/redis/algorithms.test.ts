import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LimitState, LimitStore } from '../../../../src/core/limits.js';
import type { Limit } from '../../../../src/core/model/limit.js';
import { LocalStore } from '../../../../src/resilience/ratelimit/local-store.js';
import { FakeClock } from '../../../support/fake-clock.js';
import { hasRedis, RedisServer } from '../../../support/redis.js';
import { REF, storesOf, TEST_TIME_KEY, testScripts } from './support.js';

/** The night before the clocks of Berlin are set on: a day of 23 hours. */
const BEFORE_DST = Date.UTC(2024, 2, 30, 22, 59);

const LIMITS: readonly Limit[] = [
  { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 5 },
  { algorithm: 'token_bucket', requests: 3, perMs: 1_000, burst: 7 },
  { algorithm: 'token_bucket', requests: 7, perMs: 60_000, burst: 2 },
  { algorithm: 'fixed_window', requests: 6, perMs: 1_000 },
  { algorithm: 'sliding_window', requests: 9, perMs: 1_000 },
  { algorithm: 'sliding_window', requests: 7, perMs: 777 },
  { algorithm: 'sliding_log', requests: 6, perMs: 1_000 },
  { algorithm: 'calendar', requests: 8, per: 'minute', timeZone: 'Europe/Berlin' },
  { algorithm: 'calendar', requests: 5, per: 'day', timeZone: 'Europe/Berlin' },
  { algorithm: 'fixed_window', requests: 0, perMs: 1_000 },
  { algorithm: 'token_bucket', requests: 0, perMs: 1_000, burst: 5 },
];

type Step = { readonly wait: number } | { readonly key: string; readonly cost: number; readonly back: boolean };

const steps = (longest: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.oneof(
      fc.record({ wait: fc.oneof(fc.nat(50), fc.nat(1_500), fc.nat(longest)) }),
      fc.record({ key: fc.constantFrom('a', 'b'), cost: fc.oneof(fc.constant(1), fc.nat(8)), back: fc.boolean() }),
    ),
    { minLength: 20, maxLength: 60 },
  );

const whole = (ms: number): number => Math.max(0, Math.ceil(ms - 1e-6));

const told = ({ allowed, limit, remaining, resetMs, retryAfterMs }: LimitState) => ({
  allowed,
  limit,
  remaining,
  // Of a count of which nothing is used there is nothing to say. Redis tells whole milliseconds.
  resetMs: remaining === limit ? 0 : whole(resetMs),
  retryAfterMs: whole(retryAfterMs),
});

/** Redis does one thing after the other; a script that it does not know yet is sent twice. So after two answers all is done that was asked before. */
async function done(store: LimitStore, limit: Limit): Promise<void> {
  await store.take('another', limit, 0);
  await store.take('another', limit, 0);
}

describe.skipIf(!hasRedis())('limits in Redis', () => {
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());

  it.each(LIMITS)('decide as this process does, step by step: %o', async (limit) => {
    const longest = limit.algorithm === 'calendar' ? 50_000_000 : 5_000;
    await fc.assert(
      fc.asyncProperty(steps(longest), async (sequence) => {
        const clock = new FakeClock(1_000, BEFORE_DST);
        await redis.admin.flushall();
        await redis.admin.set(TEST_TIME_KEY, clock.wallTime());
        const store: LimitStore = storesOf(redis.url, { clock, scripts: testScripts }).open(REF);
        const local = new LocalStore({ clock });
        try {
          for (const step of sequence) {
            if ('wait' in step) {
              await clock.advance(step.wait);
              await redis.admin.set(TEST_TIME_KEY, clock.wallTime());
              continue;
            }
            const { key, cost, back } = step;
            const here = local.take(key, limit, cost);
            const there = await store.take(key, limit, cost);
            expect(told(there)).toEqual(told(here));
            // Of the others Redis and this process may tell other times afterwards: see the tests below.
            if (!back || !here.allowed || limit.algorithm.startsWith('sliding')) continue;
            local.giveBack(key, limit, cost, here);
            store.giveBack?.(key, limit, cost, there);
            await done(store, limit);
          }
        } finally {
          await store.close();
        }
      }),
      { numRuns: 25 },
    );
  });

  describe('with a clock that the test sets', () => {
    const STAMP = Date.UTC(2024, 5, 1, 12);
    let clock: FakeClock;
    let store: LimitStore;
    const at = async (ms: number): Promise<void> => {
      await redis.admin.set(TEST_TIME_KEY, STAMP + ms);
    };
    const take = async (limit: Limit, cost = 1): Promise<LimitState> => store.take('k', limit, cost);
    /** Single requests that are let through one after the other. */
    const free = async (limit: Limit): Promise<number> => {
      for (let n = 0; ; n++) if (!(await take(limit)).allowed) return n;
    };
    const giveBack = async (limit: Limit, cost: number, taken: LimitState): Promise<void> => {
      store.giveBack?.('k', limit, cost, taken);
      await done(store, limit);
    };

    beforeEach(async () => {
      clock = new FakeClock(0, STAMP);
      await redis.admin.flushall();
      await at(0);
      store = storesOf(redis.url, { clock, scripts: testScripts }).open(REF);
      return () => store.close();
    });

    it.each(LIMITS.filter(({ requests }) => requests > 0))(
      'what was given back can be taken again: %o',
      async (limit) => {
        const taken = await take(limit, 2);
        const rest = await free(limit);
        await giveBack(limit, 2, taken);
        expect(await free(limit)).toBe(2);
        expect(rest).toBe(taken.limit - 2);
      },
    );

    it.each(['fixed_window', 'calendar'] as const)(
      '%s: a window gets nothing back of the one before',
      async (algorithm) => {
        const limit: Limit =
          algorithm === 'calendar'
            ? { algorithm, requests: 5, per: 'minute', timeZone: 'UTC' }
            : { algorithm, requests: 5, perMs: 60_000 };
        const taken = await take(limit, 3);
        await at(60_000);
        expect((await take(limit, 4)).allowed).toBe(true);
        await giveBack(limit, 3, taken);
        expect(await free(limit)).toBe(1);
      },
    );

    it('sliding_window: what is given back a window later no longer weighs on this one', async () => {
      const limit: Limit = { algorithm: 'sliding_window', requests: 10, perMs: 1_000 };
      const taken = await take(limit, 10);
      await at(1_500);
      await giveBack(limit, 10, taken);
      expect(await free(limit)).toBe(10);
    });

    it('sliding_log: what is given back late leaves the newer ones in the log', async () => {
      const limit: Limit = { algorithm: 'sliding_log', requests: 4, perMs: 1_000 };
      await take(limit, 2);
      await at(500);
      const taken = await take(limit, 2);
      await giveBack(limit, 2, taken);
      expect(await free(limit)).toBe(2);
      await at(1_000);
      expect(await free(limit)).toBe(0);
      await at(1_500);
      expect(await free(limit)).toBe(4);
    });

    it('token_bucket: what the bucket has worked off since is not given back a second time', async () => {
      const limit: Limit = { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 5 };
      const taken = await take(limit, 2);
      await at(100);
      expect((await take(limit, 4)).allowed).toBe(true);
      await giveBack(limit, 2, taken);
      // Two taken, one worked off, four taken: without the two it were four.
      expect(await free(limit)).toBe(1);
    });

    it.each(LIMITS.filter(({ requests }) => requests > 0))(
      'a clock that is set back by an hour gives nobody a second helping, and locks nobody out: %o',
      async (limit) => {
        const most = await free(limit);
        await at(-3_600_000);
        expect(await free(limit)).toBe(0);
        const { retryAfterMs } = await take(limit);
        const longest =
          limit.algorithm === 'token_bucket'
            ? limit.perMs
            : limit.algorithm === 'calendar'
              ? 86_400_000
              : 2 * limit.perMs;
        expect(retryAfterMs).toBeLessThanOrEqual(longest);
        await at(-3_600_000 + longest * (limit.algorithm === 'token_bucket' ? limit.burst : 1));
        expect(await free(limit)).toBe(most);
      },
    );

    it('processes whose clocks differ by years count in the same window of the calendar', async () => {
      const limit: Limit = { algorithm: 'calendar', requests: 10, per: 'day', timeZone: 'America/New_York' };
      const clocks = [STAMP, 0, STAMP + 400 * 86_400_000].map((epoch) => new FakeClock(0, epoch));
      const stores = clocks.map((each) => storesOf(redis.url, { clock: each, scripts: testScripts }).open(REF));
      try {
        for (let n = 0; n < 10; n++) {
          const state = await (stores[n % 3] as LimitStore).take('k', limit, 1);
          // 12:00 UTC is 08:00 in New York: 16 hours until midnight.
          expect(state).toMatchObject({ allowed: true, remaining: 9 - n, resetMs: 16 * 3_600_000 });
        }
        for (const each of stores) expect((await each.take('k', limit, 1)).allowed).toBe(false);
      } finally {
        await Promise.all(stores.map((each) => each.close()));
      }
    });

    it('a count leaves nothing behind when it has expired, and no key without an end', async () => {
      for (const [index, limit] of LIMITS.entries()) await store.take(`k${index}`, limit, 1);
      const keys = (await redis.admin.keys('inmesh:*')).filter((key) => key !== TEST_TIME_KEY);
      expect(keys).toHaveLength(LIMITS.filter(({ requests }) => requests > 0).length);
      for (const key of keys) expect(await redis.admin.pttl(key)).toBeGreaterThan(0);
    });

    it('the largest limit that can be written is counted, and what it says is a number', async () => {
      const most = 4_294_967_295;
      const limit: Limit = { algorithm: 'token_bucket', requests: 1, perMs: 366 * 86_400_000, burst: most };
      const state = await take(limit, most);
      expect(state).toMatchObject({ allowed: true, remaining: 0 });
      expect(state.resetMs).toBeGreaterThan(1e12);
      const refused = await take(limit);
      expect(refused.allowed).toBe(false);
      expect(refused.retryAfterMs).toBeGreaterThan(0);
      // Of such numbers the last digits are lost: never in favour of the caller, and of a year it is less than a minute.
      await at(366 * 86_400_000 + 60_000);
      expect(await free(limit)).toBe(1);
    });

    it('keys that are long, or choose a slot of a cluster, are named by a hash', async () => {
      const limit: Limit = { algorithm: 'fixed_window', requests: 1, perMs: 1_000 };
      const keys = ['{slot}a', '{slot}b', 'x'.repeat(10_000)];
      for (const key of keys) expect((await store.take(key, limit, 1)).allowed).toBe(true);
      for (const key of await redis.admin.keys('inmesh:*'))
        expect(key).toMatch(/^inmesh:fixed_window:1000:sha256:.{43}$/);
    });
  });
});
