/*
 * What does a limit that all processes share cost? Decisions a second of one process with 100 calls under way, and the time that a single call waits for its
 * decision, with one hot key and with a thousand keys: each call asking Redis, and with leases. Beside RateLimiterRedis of rate-limiter-flexible, on a
 * connection as its documentation has it, and on one with ioredis's automatic pipelining. Redis runs on the same machine; a fixed window
 * that nobody reaches, the one algorithm that both have.
 */
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { systemClock } from '../src/core/clock.js';
import { silentLogger } from '../src/core/log.js';
import type { Limit } from '../src/core/model/limit.js';
import { systemRandom } from '../src/core/random.js';
import { redisTarget } from '../src/resilience/ratelimit/redis/options.js';
import { type RedisRef, RedisStores } from '../src/resilience/ratelimit/redis/stores.js';
import { hasRedis, REDIS_SERVER, RedisServer } from '../test/support/redis.js';
import { type Comparison, median, report, SMOKE } from './lib/compare.js';

const CONCURRENCY = 100;
const ROUNDS = SMOKE ? 1 : 5;
/** Decisions of one round. */
const [TOGETHER, ONE_BY_ONE] = SMOKE ? [500, 50] : [50_000, 3_000];
const REQUESTS = 1_000_000_000;
const LIMIT: Limit = { algorithm: 'fixed_window', requests: REQUESTS, perMs: 3_600_000 };

interface Side {
  readonly name: string;
  readonly take: (key: string) => unknown;
  readonly close: () => unknown;
}

function ours(name: string, url: string, lease: RedisRef['lease']): Side {
  const env = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const store = new RedisStores({ default: redisTarget(url, 'redis') }, env).open({
    kind: 'redis',
    name: 'default',
    timeoutMs: 60_000,
    lease,
  });
  return { name, take: (key) => store.take(`${name} ${key}`, LIMIT, 1), close: () => store.close() };
}

async function theirs(name: string, port: number, enableAutoPipelining: boolean): Promise<Side> {
  const client = new Redis({
    port,
    host: '127.0.0.1',
    enableOfflineQueue: false,
    lazyConnect: true,
    enableAutoPipelining,
  });
  await client.connect();
  const limiter = new RateLimiterRedis({ storeClient: client, points: REQUESTS, duration: 3_600, keyPrefix: name });
  return { name, take: (key) => limiter.consume(key), close: () => client.disconnect() };
}

/** Decisions a second, `width` of them under way at once. */
async function perSecond(side: Side, keys: readonly string[], count: number, width: number): Promise<number> {
  let left = count;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (left-- > 0) {
        await side.take(keys[left % keys.length] as string);
        // As between requests: whatever else is due has its turn.
        if (left % width === 0) await new Promise(setImmediate);
      }
    }),
  );
  return (count * 1_000) / (performance.now() - began);
}

/** Microseconds that each of so many decisions took, one after the other. */
async function waits(side: Side, keys: readonly string[], count: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const began = performance.now();
    await side.take(keys[n % keys.length] as string);
    times.push((performance.now() - began) * 1_000);
    await new Promise(setImmediate);
  }
  return times.sort((a, b) => a - b);
}

async function main(): Promise<readonly Comparison[]> {
  if (!hasRedis()) {
    console.log(`left out: there is no redis-server here (${REDIS_SERVER})`);
    return [];
  }
  const redis = await RedisServer.start();
  const sides = [
    ours('each call asks', redis.url, undefined),
    ours('leases of 1,000 for 1 s', redis.url, { maxPermits: 1_000, ttlMs: 1_000 }),
    await theirs('rate-limiter-flexible', redis.port, false),
    await theirs('rate-limiter-flexible, autopipelining', redis.port, true),
  ];
  const comparisons: Comparison[] = [];
  for (const [what, keys] of [
    ['one hot key', ['hot']],
    ['1,000 keys', Array.from({ length: 1_000 }, (_, n) => `key ${n}`)],
  ] as const) {
    const rates = sides.map((): number[] => []);
    const middles = sides.map((): number[] => []);
    const tails = sides.map((): number[] => []);
    // The first round warms up, and is not counted.
    for (let round = SMOKE ? 1 : 0; round <= ROUNDS; round++) {
      for (let turn = 0; turn < sides.length; turn++) {
        const i = (turn + round) % sides.length;
        const side = sides[i] as Side;
        const rate = await perSecond(side, keys, TOGETHER, CONCURRENCY);
        const times = await waits(side, keys, ONE_BY_ONE);
        if (round === 0) continue;
        rates[i]?.push(rate);
        middles[i]?.push(times[times.length >> 1] as number);
        tails[i]?.push(times[Math.floor(times.length * 0.99)] as number);
      }
    }
    const compared = (question: string, unit: string, samples: readonly number[][]): Comparison => {
      const medians = samples.map(median);
      const rows = sides.map(({ name }, i) => {
        const value = medians[i] as number;
        return { name, value, ratio: value / (medians[0] as number) };
      });
      return { question: `${question}, ${what}`, unit, rows };
    };
    comparisons.push(
      compared('decisions a second', `${CONCURRENCY} at once`, rates),
      compared('wait for a decision, median', 'µs', middles),
      compared('wait for a decision, 99 %', 'µs', tails),
    );
  }
  for (const side of sides) await side.close();
  await redis.stop();
  return comparisons;
}

report(...(await main()));
