import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LimitState, LimitStore } from '../../../../src/core/limits.js';
import type { Limit, LimitLease } from '../../../../src/core/model/limit.js';
import { limitScripts } from '../../../../src/resilience/ratelimit/redis/scripts.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { hasRedis, RedisServer } from '../../../support/redis.js';
import { excess, type Passed } from './oracle.js';
import { REF, storesOf, TEST_TIME_KEY } from './support.js';

/* What another rule refused goes back to the count while other processes hold leases of it, with settings that differ, as while a new one is rolled out. */

/** The clock is the test's, and keys expire by Redis's own: here they stay, since a slow machine would lose counts that still matter by the other. */
const scripts = limitScripts(`
local now = tonumber(redis.call('GET', '${TEST_TIME_KEY}'))
local real = redis
local redis = { call = function(name, ...)
  local key, value = ...
  if name == 'PEXPIRE' then return 1 end
  if name == 'SET' then return real.call(name, key, value) end
  return real.call(name, ...)
end }`);

const EPOCH = Date.UTC(2024, 5, 1, 12);
const LEASES: readonly (LimitLease | undefined)[] = [
  { maxPermits: 16, ttlMs: 500 },
  { maxPermits: 100, ttlMs: 1_500 },
  { maxPermits: 50, ttlMs: 100 },
  undefined,
];

const LIMITS: readonly Limit[] = [
  { algorithm: 'token_bucket', requests: 100, perMs: 1_000, burst: 100 },
  { algorithm: 'token_bucket', requests: 30, perMs: 1_000, burst: 90 },
  { algorithm: 'fixed_window', requests: 60, perMs: 1_000 },
  { algorithm: 'sliding_window', requests: 70, perMs: 1_000 },
  { algorithm: 'sliding_log', requests: 100, perMs: 1_000 },
  { algorithm: 'calendar', requests: 80, per: 'minute', timeZone: 'UTC' },
];

type Step =
  | { readonly wait: number }
  | { readonly process: number; readonly calls: number; readonly cost: number; readonly refused: boolean }
  | { readonly back: number };

const STEPS = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ wait: fc.oneof(fc.nat(10), fc.nat(100), fc.nat(600), fc.nat(1_200)) }) },
    {
      weight: 6,
      arbitrary: fc.record({
        process: fc.nat(LEASES.length - 1),
        calls: fc.constantFrom(1, 1, 2, 3, 4, 8, 40),
        cost: fc.constantFrom(1, 1, 1, 1, 1, 1, 5, 30),
        // By another rule, which says so later.
        refused: fc.constantFrom(false, false, true),
      }),
    },
    { weight: 2, arbitrary: fc.record({ back: fc.nat(100) }) },
  ),
  { minLength: 40, maxLength: 100 },
);

interface Held {
  readonly store: LimitStore;
  readonly cost: number;
  readonly state: LimitState;
}

describe.skipIf(!hasRedis())('what is given back while leases are out', () => {
  let redis: RedisServer;
  let clock: FakeClock;
  beforeAll(async () => {
    redis = await RedisServer.start();
  });
  afterAll(() => redis.stop());
  beforeEach(() => restart());

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

  const open = (lease: LimitLease | undefined): LimitStore =>
    storesOf(redis.url, { clock, scripts }).open({ ...REF, ...(lease && { lease }) });

  /** Until what was sent in the background is done: Redis serves in turn. */
  async function idle(): Promise<void> {
    for (let i = 0; i < 4; i++) {
      await redis.admin.ping();
      await settle();
    }
  }

  it.each(LIMITS)('lets nobody pass the limit, whatever the settings of the leases: %o', async (limit) => {
    await fc.assert(
      fc.asyncProperty(STEPS as fc.Arbitrary<Step[]>, async (sequence) => {
        await restart();
        const stores = LEASES.map(open);
        const log: Passed[] = [];
        const held: Held[] = [];
        try {
          for (const each of sequence) {
            if ('wait' in each) await advance(each.wait);
            else if ('back' in each) {
              for (const { store, cost, state } of held.splice(each.back % (held.length + 1)))
                store.giveBack?.('k', limit, cost, state);
            } else {
              const { process, calls, cost, refused } = each;
              const store = stores[process] as LimitStore;
              const states = await Promise.all(Array.from({ length: calls }, () => store.take('k', limit, cost)));
              for (const state of states) {
                if (!state.allowed) continue;
                if (refused) held.push({ store, cost, state });
                else log.push({ at: clock.wallTime(), cost });
              }
            }
            await idle();
          }
          expect(excess(limit, log)).toBeUndefined();
        } finally {
          await Promise.all(stores.map((store) => store.close()));
        }
      }),
      { numRuns: 20, endOnFailure: true },
    );
  });

  /** Requests that are let through one after the other. */
  async function free(store: LimitStore, limit: Limit): Promise<number> {
    for (let n = 0; ; n++) if (!(await store.take('k', limit, 1)).allowed) return n;
  }

  /** What `store` decides by itself. */
  async function here(store: LimitStore, limit: Limit): Promise<number> {
    for (let n = 0; ; n++) {
      const state = store.take('k', limit, 1);
      if (state instanceof Promise) return state.then(({ allowed }) => n + Number(allowed));
      if (!state.allowed) return n;
    }
  }

  async function warm(stores: readonly LimitStore[], limit: Limit, calls: number): Promise<void> {
    for (const store of stores) {
      for (let call = 0; call < calls; call++) expect((await store.take('k', limit, 1)).allowed).toBe(true);
    }
    await idle();
  }

  it.each(['a give-back', 'a call'])(
    'sliding_log: leases stand at the end of their time, also after %s of a process that has none',
    async (what) => {
      const limit: Limit = { algorithm: 'sliding_log', requests: 100, perMs: 1_000 };
      const stores = Array.from({ length: 8 }, () => open({ maxPermits: 100, ttlMs: 500 }));
      const plain = open(undefined);
      await warm(stores, limit, 4);
      await advance(1);
      const taken = await plain.take('k', limit, 1);
      if (what === 'a give-back') plain.giveBack?.('k', limit, 1, taken);
      await idle();
      await advance(489);
      const late = (await Promise.all(stores.map((store) => here(store, limit)))).reduce((a, b) => a + b);
      await idle();
      await advance(520);
      expect(late + (await free(plain, limit))).toBeLessThanOrEqual(100);
      await Promise.all([...stores, plain].map((store) => store.close()));
    },
  );

  it('token_bucket: the turns of leases stay taken, also when what was taken before them goes back', async () => {
    const limit: Limit = { algorithm: 'token_bucket', requests: 100, perMs: 1_000, burst: 100 };
    const plain = open(undefined);
    const stores = Array.from({ length: 8 }, () => open({ maxPermits: 50, ttlMs: 1_000 }));
    const taken = await plain.take('k', limit, 50);
    await warm(stores, limit, 2);
    await advance(1);
    plain.giveBack?.('k', limit, 50, taken);
    await idle();
    await advance(399);
    const asked = await free(plain, limit);
    const leased = (await Promise.all(stores.map((store) => here(store, limit)))).reduce((a, b) => a + b);
    expect(asked + leased).toBeLessThanOrEqual(100);
    await Promise.all([...stores, plain].map((store) => store.close()));
  });

  it('token_bucket: the last lease goes back, and what was taken before it once it is over', async () => {
    const limit: Limit = { algorithm: 'token_bucket', requests: 1, perMs: 60_000, burst: 100 };
    const plain = open(undefined);
    const taken = await plain.take('k', limit, 50);
    const store = open({ maxPermits: 16, ttlMs: 500 });
    await warm([store], limit, 3);
    const { remaining } = await plain.take('k', limit, 0);
    expect(remaining).toBeLessThan(47);
    await store.close();
    expect((await plain.take('k', limit, 0)).remaining).toBe(47);
    await advance(501);
    plain.giveBack?.('k', limit, 50, taken);
    await idle();
    expect((await plain.take('k', limit, 0)).remaining).toBe(97);
    await plain.close();
  });
});
