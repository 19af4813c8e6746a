import type { Clock } from '../../core/clock.js';
import type { LimitStore } from '../../core/limits.js';
import type { Logger } from '../../core/log.js';
import { systemRandom } from '../../core/random.js';
import { LocalStore } from '../../resilience/ratelimit/local-store.js';
import { type RedisOption, redisTarget } from '../../resilience/ratelimit/redis/options.js';

/** Of a Redis: whoever asks the service waits no longer, and mostly less. */
const REDIS_TIMEOUT_MS = 1_000;
const NAME = 'rate limits';

export interface CountsOptions {
  /** Shared by all services that name the same; undefined: the counts are in this process. */
  readonly redis: RedisOption | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Where the service counts. Throws DecodeError for a Redis that cannot be meant. */
export async function openCounts({ redis, clock, logger }: CountsOptions): Promise<LimitStore> {
  if (redis === undefined) return new LocalStore({ clock });
  const target = redisTarget(redis, 'options.redis');
  const { RedisStores } = await import('../../resilience/ratelimit/redis/stores.js');
  const stores = new RedisStores({ [NAME]: target }, { clock, random: systemRandom, logger });
  return stores.open({ kind: 'redis', name: NAME, timeoutMs: REDIS_TIMEOUT_MS });
}
