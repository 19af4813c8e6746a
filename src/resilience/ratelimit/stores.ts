import type { LimitStore, RateLimitService } from '../../core/limits.js';
import type { LimitStoreRef } from '../../core/model/limit.js';
import type { Asked, AskedEnv } from './asked.js';
import { AskedTable } from './asked-table.js';
import { LocalStore, type LocalStoreOptions } from './local-store.js';
import { KnownLimits } from './rls/known-limits.js';
import { Lines } from './queue/lines.js';

export type RedisRef = Extract<LimitStoreRef, { kind: 'redis' }>;
export type RlsRef = Extract<LimitStoreRef, { kind: 'rls' }>;

export interface LimitStoresEnv extends AskedEnv {
  readonly clock: AskedEnv['clock'] & LocalStoreOptions['clock'];
  readonly maxKeys?: number | undefined;
  readonly maxBytes?: number | undefined;
  /** Makes a store of Redis; called when the first rule names it. Absent: there is none, and `onStoreFailure` decides. */
  readonly redis?: ((ref: RedisRef) => LimitStore | Promise<LimitStore>) | undefined;
  /** The same for a rate limit service. */
  readonly rls?: ((ref: RlsRef) => RateLimitService | Promise<RateLimitService>) | undefined;
}

/** The stores of limits of one mesh: that of this process, and those that must be asked, each made when a rule first names it. */
export class LimitStores {
  readonly local: LocalStore;
  /** Of requests that wait, whatever the store. */
  readonly lines: Lines;
  /** Limits of rate limit services. */
  readonly known = new KnownLimits();
  readonly #redis: AskedTable<RedisRef, LimitStore>;
  readonly #services: AskedTable<RlsRef, RateLimitService>;

  constructor(env: LimitStoresEnv) {
    this.local = new LocalStore(env);
    this.lines = new Lines(env.clock);
    this.#redis = new AskedTable(
      { make: env.redis, discard: (store) => store.close(), nameOf: ({ name }) => name, identityOf: JSON.stringify },
      env,
    );
    this.#services = new AskedTable(
      {
        make: env.rls,
        discard: () => {},
        nameOf: ({ service }) => service,
        // The domain is told with each question.
        identityOf: ({ service, timeoutMs }) => JSON.stringify([service, timeoutMs]),
      },
      env,
    );
  }

  redis(ref: RedisRef): Asked<LimitStore> {
    return this.#redis.get(ref);
  }

  service(ref: RlsRef): Asked<RateLimitService> {
    return this.#services.get(ref);
  }

  async close(): Promise<void> {
    this.lines.close();
    this.local.close();
    await Promise.all([this.#redis.close(), this.#services.close()]);
  }
}
