import type { Clock } from '../../../../src/core/clock.js';
import { systemClock } from '../../../../src/core/clock.js';
import type { LimitState } from '../../../../src/core/limits.js';
import { type Logger, silentLogger } from '../../../../src/core/log.js';
import type { Limit } from '../../../../src/core/model/limit.js';
import { seededRandom } from '../../../../src/core/random.js';
import { redisTarget } from '../../../../src/resilience/ratelimit/redis/options.js';
import { limitScripts } from '../../../../src/resilience/ratelimit/redis/scripts.js';
import { type RedisRef, RedisStores } from '../../../../src/resilience/ratelimit/redis/stores.js';

/** What the store of a rule is called in tests. Waits long: nothing here is measured. */
export const REF: RedisRef = { kind: 'redis', name: 'default', timeoutMs: 10_000 };

/**
 * The scripts with a clock that tests set: the key `test:now`. Redis lets keys expire by its own, which goes on however long a step of a test takes: here they
 * stay for an hour, as what has expired by the test's clock counts for nothing anyway.
 */
export const TEST_TIME_KEY = 'test:now';
export const testScripts = limitScripts(`
local call = redis.call
local redis = { call = function(command, ...)
  local given = {...}
  for i, each in ipairs(given) do
    if each == 'PX' or (command == 'PEXPIRE' and i == 1) then given[i + 1] = 3600000 end
  end
  return call(command, unpack(given))
end }
local now = tonumber(redis.call('GET', '${TEST_TIME_KEY}'))`);

export interface StoresOptions {
  readonly clock?: Clock;
  readonly scripts?: typeof testScripts;
  readonly logger?: Logger;
}

/** Stores of the Redis that `option` names, called `default`. */
export const storesOf = (
  option: unknown,
  { clock = systemClock, scripts, logger = silentLogger }: StoresOptions = {},
): RedisStores =>
  new RedisStores({ default: redisTarget(option, 'redis') }, { clock, random: seededRandom(1), logger }, scripts);

export const perSecond = (requests: number): Limit => ({ algorithm: 'fixed_window', requests, perMs: 1_000 });

/** So many a year: nothing comes back while a test runs. */
export const perYear = (requests: number): Limit => ({ algorithm: 'calendar', requests, per: 'year', timeZone: 'UTC' });

export const allowedOf = (states: readonly LimitState[]): number => states.filter(({ allowed }) => allowed).length;
