import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { type Clock, systemClock } from '../../core/clock.js';
import { knownKeys, record } from '../../core/decode.js';
import type { LimitStore } from '../../core/limits.js';
import { type Logger, silentLogger } from '../../core/log.js';
import { type Meter, noMeter } from '../../core/meter.js';
import type { RedisOption } from '../../resilience/ratelimit/redis/options.js';
import { RateLimits, type RateLimitsStatus } from './rate-limits.js';
import { openCounts } from './store.js';
import { rateLimitDefinition, rateLimitImplementation } from './service.js';

export interface RateLimitServerOptions {
  /** Files of envoyproxy/ratelimit and folders of them (`domain`, `descriptors`); watched, and taken over when they change. */
  readonly config: string | readonly string[];
  /** Where the counts are, shared by all services that name the same: `redis://…`, or as an element of `redis` of `meshClient`. Default: in this process. */
  readonly redis?: RedisOption;
  /** A store of limits of the application's own, in place of both; closed with the server. */
  readonly store?: LimitStore;
  /** Default: silent. */
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly meter?: Meter;
}

/** A rate limit service for a gRPC server: `server.addService(limits.definition, limits.implementation)`. */
export interface RateLimitServer {
  readonly definition: ServiceDefinition;
  readonly implementation: UntypedServiceImplementation;
  status(): RateLimitsStatus;
  /** Leaves no timer or file handle, and answers nobody any more. */
  close(): Promise<void>;
}

const OPTIONS = ['config', 'redis', 'store', 'logger', 'clock', 'meter'];

/** Resolves when the files have been read once, good or bad: with bad ones it is not ready, answers UNAVAILABLE, and waits for them to be mended. */
export async function rateLimitServer(options: RateLimitServerOptions): Promise<RateLimitServer> {
  knownKeys(record(options, 'options'), 'options', OPTIONS);
  const { config, redis, clock = systemClock, logger = silentLogger, meter = noMeter } = options;
  if (redis !== undefined && options.store !== undefined)
    throw new TypeError('rateLimitServer: give either redis or store, and not both');
  const store = options.store ?? (await openCounts({ redis, clock, logger }));
  const limits = new RateLimits({ paths: config, store, clock, logger, meter });
  await limits.start();
  return {
    definition: rateLimitDefinition,
    implementation: rateLimitImplementation((request) => limits.answer(request)),
    status: () => limits.status(),
    close: () => limits.close(),
  };
}
