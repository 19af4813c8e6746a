import type { Clock } from '../core/clock.js';
import type { UseSink } from '../core/limits.js';
import type { Logger } from '../core/log.js';
import type { Meter } from '../core/meter.js';
import type { Random } from '../core/random.js';
import type { Service } from '../core/service.js';
import type { LimitedEnv } from '../resilience/ratelimit/filter.js';
import { REDIS_URL_VARIABLE, type RedisOption, redisTargets } from '../resilience/ratelimit/redis/options.js';
import type { RedisStores } from '../resilience/ratelimit/redis/stores.js';
import { LimitStores } from '../resilience/ratelimit/stores.js';
import { limitMatching } from '../routing/limit-matching.js';
import type { Source } from '../routing/request.js';

export interface LimitParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  readonly logger: Logger;
  /** Who this process is. Undefined: nobody knows. */
  readonly source: Source | undefined;
  /** The service that it is. */
  readonly service: string | undefined;
  /** `MeshOptions.redis`. */
  readonly redis: Readonly<Record<string, RedisOption>> | undefined;
  /** Who takes down the uses of metered rules. */
  readonly uses: UseSink;
  /** The pipeline, by which rate limit services are asked: `Destinations.beside`. */
  readonly pipeline: Service;
}

/** The limits of one mesh: counts that its client and its servers share. Redis and what a rate limit service speaks are loaded when a rule names them. */
export function meshLimits(parts: LimitParts): LimitedEnv {
  const { clock, random, meter, logger, source, service, redis, uses, pipeline } = parts;
  let redisStores: Promise<RedisStores> | undefined;
  const openRedis = async (): Promise<RedisStores> => {
    const targets = redisTargets(redis, 'options.redis', process.env[REDIS_URL_VARIABLE]);
    const { RedisStores } = await import('../resilience/ratelimit/redis/stores.js');
    return new RedisStores(targets, { clock, random, logger });
  };
  const stores = new LimitStores({
    clock,
    random,
    meter,
    logger,
    redis: async (ref) => {
      redisStores ??= openRedis();
      return (await redisStores).open(ref);
    },
    rls: async (ref) => {
      const [{ rateLimitService }, { unary }] = await Promise.all([
        import('../resilience/ratelimit/rls/service.js'),
        import('../client/grpc/unary.js'),
      ]);
      return rateLimitService(ref.service, (request) => unary(pipeline, { ...request, asksLimits: true }));
    },
  });
  const matching = limitMatching({ random, source: source ?? { labels: {}, principal: undefined } });
  return {
    clock,
    meter,
    stores,
    matching,
    service,
    // Known when there is a certificate.
    get principal() {
      return source?.principal;
    },
    uses,
  };
}
