/*
 * What does a limit cost that this process keeps? A decision by each algorithm, among 10,000 keys; the whole engine, with a key from a header and the reply's
 * fields; a decision when there is no more room for keys; and the bytes of a key at 10,000 and at 1,000,000 of them. Beside RateLimiterMemory of rate-limiter-flexible and Bottleneck (a Group: one limiter
 * per key).
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import Bottleneck from 'bottleneck';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { systemClock as clock } from '../src/core/clock.js';
import { headerFields } from '../src/core/headers.js';
import type { LimitRequest } from '../src/core/limits.js';
import { silentLogger as logger } from '../src/core/log.js';
import { noMeter as meter } from '../src/core/meter.js';
import { DEFAULT_LIMIT_REPLY, type Limit, type LimitRule, type RouteLimits } from '../src/core/model/limit.js';
import { systemRandom as random } from '../src/core/random.js';
import { LocalStore } from '../src/resilience/ratelimit/local-store.js';
import { requestLimits } from '../src/resilience/ratelimit/request-limits.js';
import { LimitStores } from '../src/resilience/ratelimit/stores.js';
import { limitMatching } from '../src/routing/limit-matching.js';
import { type Comparison, compareCpu, report, SMOKE, type Side } from './lib/compare.js';

const CALLS = 100;
const KEYS = 10_000;
const HOUR = 3_600_000;
const REQUESTS = 1_000_000;
const keyOf = (i: number): string => `customer-${String(i).padStart(8, '0')}`;
const keys = Array.from({ length: KEYS }, (_, i) => keyOf(i));

const LIMITS: Readonly<Record<string, Limit>> = {
  'token bucket (GCRA)': { algorithm: 'token_bucket', requests: 100, perMs: HOUR, burst: REQUESTS },
  'fixed window': { algorithm: 'fixed_window', requests: REQUESTS, perMs: HOUR },
  'sliding window': { algorithm: 'sliding_window', requests: REQUESTS, perMs: HOUR },
  'sliding log': { algorithm: 'sliding_log', requests: 100, perMs: HOUR },
  'calendar day': { algorithm: 'calendar', requests: REQUESTS, per: 'day', timeZone: 'Europe/Berlin' },
};

const taking = (name: string, limit: Limit): Side => ({
  name,
  open: async () => {
    const store = new LocalStore({ clock });
    let next = 0;
    return {
      once() {
        for (let i = 0; i < CALLS; i++) store.take(keys[next++ % KEYS] as string, limit, 1);
      },
    };
  },
});

const engine = (name: string, headers: RouteLimits['headers'], rules: readonly LimitRule[]): Side => ({
  name,
  open: async () => {
    const stores = new LimitStores({ clock, random, meter, logger });
    const env = { clock, meter, stores, matching: limitMatching({ random }) };
    const limits = requestLimits({ ...DEFAULT_LIMIT_REPLY, rules, headers }, env);
    const requests = keys.map(requestOf);
    let next = 0;
    return {
      once() {
        for (let i = 0; i < CALLS; i++) limits.check(requests[next++ % KEYS] as LimitRequest);
      },
    };
  },
});

const requestOf = (key: string): LimitRequest => ({
  protocol: 'http',
  scheme: 'http',
  method: 'GET',
  path: '/orders',
  host: 'shop',
  headers: headerFields({ accept: '*/*', 'x-customer': key }),
  remote: '10.0.0.1',
  principal: undefined,
  claims: undefined,
  route: undefined,
  destination: undefined,
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
});

const rule = (name: string, key: LimitRule['key']): LimitRule => ({
  name,
  key,
  limit: LIMITS['token bucket (GCRA)'] as Limit,
  mode: 'enforce',
  store: { kind: 'local' },
  onStoreFailure: 'allow',
});
const perCustomer = rule('default/shop/customer', [{ as: 'customer', kind: 'header', name: 'x-customer' }]);
const silent = { xRateLimit: 'off', standard: false, xEnvoyRateLimited: false } as const;

const flexible = (): Side => ({
  name: 'rate-limiter-flexible, RateLimiterMemory.consume',
  open: async () => {
    const limiter = new RateLimiterMemory({ points: REQUESTS, duration: HOUR / 1_000 });
    let next = 0;
    return {
      async once() {
        for (let i = 0; i < CALLS; i++) await limiter.consume(keys[next++ % KEYS] as string);
      },
      close: () => Promise.all(keys.map((key) => limiter.delete(key))),
    };
  },
});

const each = { what: 'decision', perOnce: CALLS };
const decisions = await compareCpu({
  question: 'A decision among 10,000 keys that are let through, by algorithm',
  sides: [...Object.entries(LIMITS).map(([name, limit]) => taking(name, limit)), flexible()],
  each,
  concurrency: 1,
  perRun: 5_000,
  runs: 5,
});

/** One key after the other of ten times as many as there is room for, so that each new one pushes another out. */
const evicting = (name: string, limits: readonly Limit[], cost: number): Side => ({
  name,
  open: async () => {
    const store = new LocalStore({ clock, maxKeys: KEYS / 10 });
    let next = 0;
    return {
      once() {
        for (let i = 0; i < CALLS; i++) {
          const at = next++;
          store.take(keys[at % KEYS] as string, limits[at % limits.length] as Limit, cost);
        }
      },
    };
  },
});

const once: Limit = { algorithm: 'token_bucket', requests: 1, perMs: HOUR, burst: 1 };
const evictions = await compareCpu({
  question: 'A decision among 10,000 keys, with room for 1,000',
  sides: [
    taking('room for all', LIMITS['token bucket (GCRA)'] as Limit),
    evicting('keys that have used little of their limit', [LIMITS['token bucket (GCRA)'] as Limit], 1),
    evicting('keys at their limit', [once], 1),
    evicting('keys of two limits', [once, LIMITS['fixed window'] as Limit, once], 1),
    evicting('keys with a log', [LIMITS['sliding log'] as Limit], 1),
  ],
  each,
  concurrency: 1,
  perRun: 3_000,
  runs: 5,
});

const engines = await compareCpu({
  question: 'A request under the rules of a route: key, count, what the reply says',
  sides: [
    engine('one rule for all, no fields', silent, [rule('all', [])]),
    engine('by a header, no fields', silent, [perCustomer]),
    engine('by a header, x-ratelimit fields', { ...silent, xRateLimit: 'epoch' }, [perCustomer]),
    engine('by a header, all fields', DEFAULT_LIMIT_REPLY.headers, [perCustomer]),
    engine('two rules, all fields', DEFAULT_LIMIT_REPLY.headers, [perCustomer, rule('all', [])]),
  ],
  each,
  concurrency: 1,
  perRun: 3_000,
  runs: 5,
});

const jobs = await compareCpu({
  question: 'One request at a time, from coming to being let through',
  sides: [
    { ...engine('by a header, all fields', DEFAULT_LIMIT_REPLY.headers, [perCustomer]), name: 'inmesh, 100 of them' },
    {
      name: 'bottleneck, one job',
      open: async () => {
        const limiter = new Bottleneck({ reservoir: REQUESTS });
        const job = (): Promise<void> => Promise.resolve();
        return { once: () => limiter.schedule(job), close: () => limiter.disconnect() };
      },
    },
  ],
  concurrency: 1,
  perRun: 500,
  runs: 3,
});

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes that are held, outside the heap included. */
function held(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that each of `count` keys takes, keys included, when `fill` has used each once. The result of `fill` keeps them. */
async function bytesPerKey(count: number, fill: (key: (i: number) => string) => unknown): Promise<number> {
  const before = held();
  const kept = await fill((i) => `${keyOf(i)}/${i}`);
  const bytes = (held() - before) / count;
  if (kept === undefined) throw new Error('nothing is kept');
  return bytes;
}

function inSlots(limit: Limit, count: number) {
  return (key: (i: number) => string): LocalStore => {
    const store = new LocalStore({ clock, maxKeys: count });
    for (let i = 0; i < count; i++) store.take(key(i), limit, 1);
    return store;
  };
}

async function inMemory(count: number): Promise<number> {
  let limiter: RateLimiterMemory | undefined = new RateLimiterMemory({ points: 10, duration: 3_600 });
  const bytes = await bytesPerKey(count, async (key) => {
    for (let i = 0; i < count; i++) await limiter?.consume(key(i));
    return limiter;
  });
  for (let i = 0; i < count; i++) await limiter.delete(`${keyOf(i)}/${i}`);
  limiter = undefined;
  return bytes;
}

async function inGroup(count: number): Promise<number> {
  const group = new Bottleneck.Group({ reservoir: 10, timeout: HOUR });
  const bytes = await bytesPerKey(count, (key) => {
    for (let i = 0; i < count; i++) group.key(key(i));
    return group;
  });
  for (let i = 0; i < count; i++) await group.deleteKey(`${keyOf(i)}/${i}`);
  return bytes;
}

async function memory(count: number, withGroup: boolean): Promise<Comparison> {
  const rows: { name: string; value: number }[] = [];
  for (const [name, limit] of Object.entries(LIMITS))
    rows.push({ name, value: await bytesPerKey(count, inSlots(limit, count)) });
  rows.push({ name: 'rate-limiter-flexible, RateLimiterMemory', value: await inMemory(count) });
  if (withGroup) rows.push({ name: 'bottleneck, Group', value: await inGroup(Math.min(count, 10_000)) });
  const first = rows[0]?.value ?? 1;
  return {
    question: `Memory of ${count.toLocaleString('en-US')} keys`,
    unit: 'bytes per key',
    rows: rows.map(({ name, value }) => ({ name, value, ratio: value / first })),
  };
}

if (process.env['INMESH_BENCH_SIDE'] === undefined) {
  const [few, many] = SMOKE ? [100, 1_000] : [10_000, 1_000_000];
  report(decisions, evictions, engines, jobs, await memory(few, true), await memory(many, SMOKE));
}
