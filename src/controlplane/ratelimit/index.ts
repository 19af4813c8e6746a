import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { type Clock, systemClock } from '../../core/clock.js';
import { knownKeys, record } from '../../core/decode.js';
import type { LimitStore } from '../../core/limits.js';
import { type Logger, silentLogger } from '../../core/log.js';
import { type Meter, noMeter } from '../../core/meter.js';
import { LocalStore } from '../../resilience/ratelimit/local-store.js';
import { RateLimits, type RateLimitsStatus } from './rate-limits.js';
import { rateLimitDefinition, rateLimitImplementation } from './service.js';

export interface RateLimitServerOptions {
  /** Files of envoyproxy/ratelimit and folders of them (`domain`, `descriptors`); watched, and taken over when they change. */
  readonly config: string | readonly string[];
  /** Where the counts are; closed with the server. Default: in this process. */
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

const OPTIONS = ['config', 'store', 'logger', 'clock', 'meter'];

/** Resolves when the files have been read once, good or bad: with bad ones it is not ready, answers UNAVAILABLE, and waits for them to be mended. */
export async function rateLimitServer(options: RateLimitServerOptions): Promise<RateLimitServer> {
  knownKeys(record(options, 'options'), 'options', OPTIONS);
  const { config, clock = systemClock, logger = silentLogger, meter = noMeter } = options;
  const store = options.store ?? new LocalStore({ clock });
  const limits = new RateLimits({ paths: config, store, clock, logger, meter });
  await limits.start();
  return {
    definition: rateLimitDefinition,
    implementation: rateLimitImplementation((request) => limits.answer(request)),
    status: () => limits.status(),
    close: () => limits.close(),
  };
}
