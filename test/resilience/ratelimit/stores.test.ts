import { describe, expect, test } from 'vitest';
import type { LimitState, LimitStore, LimitVerdict, RateLimitService } from '../../../src/core/limits.js';
import type { LimitRule } from '../../../src/core/model/limit.js';
import { settle } from '../../support/fake-clock.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

const redis = { kind: 'redis', name: 'counts', timeoutMs: 50 } as const;
const allowed: LimitState = { allowed: true, limit: 9, remaining: 8, resetMs: 1_000, retryAfterMs: 0 };
const refused: LimitState = { allowed: false, limit: 9, remaining: 0, resetMs: 1_000, retryAfterMs: 700 };

/** A store that answers as the test says. */
class Scripted implements LimitStore {
  readonly taken: string[] = [];
  readonly given: string[] = [];
  closed = 0;
  answer: () => LimitState | Promise<LimitState> = () => Promise.resolve(allowed);

  take(key: string, _limit: unknown, cost: number): LimitState | Promise<LimitState> {
    this.taken.push(`${key} ${cost}`);
    return this.answer();
  }
  giveBack(key: string, _limit: unknown, cost: number): void {
    this.given.push(`${key} ${cost}`);
  }
  close(): void {
    this.closed++;
  }
}

const verdicts = async (limits: ReturnType<ReturnType<typeof limitsEnv>['compile']>, n: number): Promise<string[]> => {
  const kinds: string[] = [];
  for (let i = 0; i < n; i++) kinds.push((await limits.check(limitRequest())).kind);
  return kinds;
};
const lost = (): Promise<LimitState> => Promise.reject(new Error('lost'));

describe('a store that must be asked', () => {
  test('decides, and its numbers are in the headers', async () => {
    const store = new Scripted();
    const { compile } = limitsEnv({ redis: () => store });
    const limits = compile([limitRule({ store: redis })]);
    expect(await limits.check(limitRequest())).toMatchObject({
      kind: 'allowed',
      headers: { 'x-ratelimit-remaining': '8' },
    });
    store.answer = () => refused;
    expect(await limits.check(limitRequest())).toMatchObject({
      kind: 'refused',
      retryAfterMs: 700,
      headers: { 'retry-after': '1' },
    });
  });

  test('is made once, when a rule first names it, and closed with the others', async () => {
    let made = 0;
    const store = new Scripted();
    const makes = (): LimitStore => {
      made++;
      return store;
    };
    const { compile, stores } = limitsEnv({ redis: makes });
    expect(made).toBe(0);
    const limits = [compile([limitRule({ store: redis })]), compile([limitRule({ name: 'other', store: redis })])];
    for (const one of limits) await one.check(limitRequest());
    await stores.close();
    expect([made, store.closed]).toEqual([1, 1]);
  });

  test('of many that updates of the configuration brought about the oldest are closed, and made anew where they are named', async () => {
    const made: Scripted[] = [];
    const makes = (): LimitStore => {
      const store = new Scripted();
      made.push(store);
      return store;
    };
    const { compile } = limitsEnv({ redis: makes });
    const limits = Array.from({ length: 257 }, (_, i) => compile([limitRule({ store: { ...redis, name: `${i}` } })]));
    await settle();
    expect(made.map(({ closed }) => closed)).toEqual([1, ...Array.from({ length: 256 }, () => 0)]);
    expect((await limits[0]?.check(limitRequest()))?.kind).toBe('allowed');
    expect(made).toHaveLength(258);
    expect(made[257]?.taken).toHaveLength(1);
  });

  describe('of many that updates of the configuration brought about', () => {
    const stores = () => {
      const made: Scripted[] = [];
      const makes = (): LimitStore => {
        const store = new Scripted();
        made.push(store);
        return store;
      };
      const { compile, clock } = limitsEnv({ redis: makes });
      const named = (name: string) => compile([limitRule({ store: { ...redis, name } })]);
      return { made, clock, named };
    };

    test('the one that nobody has asked for longest makes room', async () => {
      const { made, clock, named } = stores();
      const used = named('used');
      for (let i = 0; i < 300; i++) {
        named(`${i}`);
        await clock.advance(1);
        await used.check(limitRequest());
      }
      expect(made[0]).toMatchObject({ closed: 0 });
      expect(made[0]?.taken).toHaveLength(300);
      expect(made.filter(({ closed }) => closed === 1)).toHaveLength(301 - 256);
    });

    test('those that nobody has asked for a quarter of an hour are closed when another comes, and made anew where they are named', async () => {
      const { made, clock, named } = stores();
      const old = named('old');
      const used = named('used');
      await settle();
      await clock.advance(600_000);
      await used.check(limitRequest());
      await clock.advance(300_001);
      expect(made.map(({ closed }) => closed)).toEqual([0, 0]);
      named('new');
      await settle();
      expect(made.map(({ closed }) => closed)).toEqual([1, 0, 0]);
      expect((await old.check(limitRequest())).kind).toBe('allowed');
      expect(made[3]?.taken).toHaveLength(1);
      expect(clock.pending).toBe(0);
    });
  });

  test('what other rules took is given back when it refuses, and what it took when they do', async () => {
    const stores: Record<string, Scripted> = { one: new Scripted(), two: new Scripted() };
    const { compile, stores: all } = limitsEnv({ redis: ({ name }) => stores[name] as Scripted });
    (stores['two'] as Scripted).answer = () => Promise.resolve(refused);
    const local = limitRule({ name: 'local' });
    const limits = compile([
      local,
      limitRule({ name: 'a', store: { ...redis, name: 'one' }, cost: 3 }),
      limitRule({ name: 'b', store: { ...redis, name: 'two' } }),
    ]);
    expect(await limits.check(limitRequest())).toMatchObject({ kind: 'refused', rule: 'b' });
    expect(stores['one']?.given).toEqual(['1:a 3']);
    expect(stores['two']?.given).toEqual([]);
    expect(all.local.peek('5:local', local.limit as NonNullable<LimitRule['limit']>, 1).remaining).toBe(2);
  });

  test('is not asked when a count of this process refuses already', async () => {
    const store = new Scripted();
    const limits = limitsEnv({ redis: () => store }).compile([
      limitRule({ name: 'a', store: redis }),
      limitRule({ name: 'local', limit: { algorithm: 'fixed_window', requests: 1, perMs: 60_000 } }),
    ]);
    expect(await verdicts(limits, 3)).toEqual(['allowed', 'refused', 'refused']);
    expect(store.taken).toHaveLength(1);
  });

  test('in a shadow rule keeps nobody waiting', async () => {
    const store = new Scripted();
    let answer: (state: LimitState) => void = () => {};
    store.answer = () => new Promise((resolve) => (answer = resolve));
    const { compile, events } = limitsEnv({ redis: () => store });
    const limits = compile([limitRule({ mode: 'shadow', store: redis })]);
    await settle();
    expect(limits.check(limitRequest())).toEqual({ kind: 'allowed', headers: undefined });
    answer(refused);
    await settle();
    expect(events).toEqual([{ kind: 'limit:refused', rule: 'rule', protocol: 'http', shadow: true, reason: 'limit' }]);
  });

  test('a line in front of it asks for one at a time, and gives back what came for one who left', async () => {
    const store = new Scripted();
    const { clock, compile } = limitsEnv({ redis: () => store });
    const limits = compile([limitRule({ store: redis, queue: { maxWaitMs: 5_000, maxLength: 10 } })]);
    store.answer = () => Promise.resolve(refused);
    const first = limits.check(limitRequest()) as Promise<LimitVerdict>;
    const second = limits.check(limitRequest({ deadline: 750 })) as Promise<LimitVerdict>;
    await settle();
    let answer: (state: LimitState) => void = () => {};
    store.answer = () => new Promise((resolve) => (answer = resolve));
    await clock.advance(700);
    answer(allowed);
    store.answer = () => Promise.resolve(allowed);
    expect((await first).kind).toBe('allowed');
    expect((await second).kind).toBeDefined();
    expect(store.taken.length - store.given.length).toBeGreaterThanOrEqual(2);
    expect(clock.pending).toBe(0);
  });
});

describe('a store that does not answer', () => {
  const failing = (onStoreFailure: LimitRule['onStoreFailure']) => {
    const store = new Scripted();
    store.answer = lost;
    const setting = limitsEnv({ redis: () => store });
    const limits = setting.compile([limitRule({ store: redis, onStoreFailure })]);
    return { ...setting, store, limits };
  };

  test('lets requests through, or refuses them with RLSE, or this process counts, as the rule says', async () => {
    expect(await verdicts(failing('allow').limits, 4)).toEqual(['allowed', 'allowed', 'allowed', 'allowed']);
    expect(await failing('deny').limits.check(limitRequest())).toMatchObject({
      kind: 'refused',
      flag: 'RLSE',
      status: 429,
      retryAfterMs: undefined,
    });
    expect(await verdicts(failing('local').limits, 4)).toEqual(['allowed', 'allowed', 'refused', 'refused']);
  });

  test('is asked by one call now and then after three failures, and told of once, as is its return', async () => {
    const { store, limits, clock, events } = failing('allow');
    await verdicts(limits, 100);
    expect(store.taken).toHaveLength(3);
    expect(events).toEqual([{ kind: 'limit:store-lost', store: 'redis:counts' }]);
    for (let i = 0; i < 50; i++) {
      await clock.advance(200);
      await verdicts(limits, 10);
    }
    // 10 s at 100, 200, 400, … 2,000 ms.
    expect(store.taken.length).toBeLessThan(16);
    store.answer = () => Promise.resolve(allowed);
    await clock.advance(2_400);
    await verdicts(limits, 10);
    expect(store.taken.length).toBeGreaterThan(10);
    expect(events.slice(1)).toEqual([{ kind: 'limit:store-back', store: 'redis:counts' }]);
    expect(clock.pending).toBe(0);
  });

  test('while it is being made costs no more than its wait', async () => {
    const { compile, clock, events } = limitsEnv({ redis: () => new Promise<LimitStore>(() => {}) });
    const limits = compile([limitRule({ store: redis, onStoreFailure: 'deny' })]);
    const answers = [1, 2, 3].map(() => limits.check(limitRequest()) as Promise<LimitVerdict>);
    await clock.advance(49);
    expect(events).toEqual([]);
    await clock.advance(1);
    expect((await Promise.all(answers)).map((verdict) => verdict.kind)).toEqual(['refused', 'refused', 'refused']);
    expect(clock.pending).toBe(0);
  });

  test('that cannot be made is as one that is lost, and tried again by a probe', async () => {
    let tries = 0;
    const { compile, clock } = limitsEnv({
      redis: () => {
        if (++tries < 5) throw new Error('npm install ioredis');
        return new Scripted();
      },
    });
    const limits = compile([limitRule({ store: redis, onStoreFailure: 'deny' })]);
    await settle();
    expect(await verdicts(limits, 3)).toEqual(['refused', 'refused', 'refused']);
    await clock.advance(120);
    expect(await verdicts(limits, 2)).toEqual(['allowed', 'allowed']);
  });
});

describe('a rate limit service', () => {
  const rls = { kind: 'rls', service: 'limiter', domain: 'shop', timeoutMs: 20 } as const;
  const key = (as: string): LimitRule['key'] => [{ as, kind: 'generic', value: 'v' }];
  const asked: unknown[] = [];
  const service = (answer: Partial<Awaited<ReturnType<RateLimitService['shouldRateLimit']>>>): RateLimitService => ({
    shouldRateLimit: (domain, descriptors, timeoutMs) => {
      asked.push([domain, descriptors.map(({ entries, hits }) => [entries, hits]), timeoutMs]);
      const nothing = { replyHeaders: undefined, requestHeaders: undefined, body: undefined };
      return Promise.resolve({ allowed: true, states: [], ...nothing, ...answer });
    },
  });

  test('is asked once for all of its rules, and has headers of its own', async () => {
    asked.length = 0;
    const of = { algorithm: 'fixed_window', requests: 9, perMs: 1_000 } as const;
    const { compile } = limitsEnv({
      rls: () =>
        service({
          states: [{ ...allowed, of, name: undefined }],
          replyHeaders: { 'x-plan': 'gold' },
          requestHeaders: { 'x-checked': '1' },
        }),
    });
    const limits = compile([
      limitRule({ name: 'a', store: rls, key: key('one'), limit: undefined }),
      limitRule({ name: 'b', store: rls, key: key('two'), limit: undefined, cost: 4 }),
    ]);
    expect(await limits.check(limitRequest())).toMatchObject({
      kind: 'allowed',
      headers: { 'x-ratelimit-limit': '9', 'x-plan': 'gold', 'ratelimit-policy': '"a";q=9;w=1' },
      requestHeaders: { 'x-checked': '1' },
    });
    expect(asked).toEqual([
      [
        'shop',
        [
          [[['one', 'v']], 1],
          [[['two', 'v']], 4],
        ],
        20,
      ],
    ]);
  });

  test('refuses with its body, also without a word on which descriptor', async () => {
    const body = new Uint8Array([1]);
    const { compile } = limitsEnv({ rls: () => service({ allowed: false, body }) });
    const limits = compile([limitRule({ store: rls, key: key('one'), limit: undefined })]);
    expect(await limits.check(limitRequest())).toMatchObject({ kind: 'refused', rule: 'rule', flag: 'RL', body });
  });
});
