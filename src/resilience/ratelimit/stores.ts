import type { LimitStore, RateLimitService } from '../../core/limits.js';
import type { LimitStoreRef } from '../../core/model/limit.js';
import { Asked, type AskedEnv } from './asked.js';
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
  readonly #redis = new Map<string, Asked<LimitStore>>();
  readonly #services = new Map<string, Asked<RateLimitService>>();
  #closed = false;

  constructor(private readonly env: LimitStoresEnv) {
    this.local = new LocalStore(env);
    this.lines = new Lines(env.clock);
  }

  redis(ref: RedisRef): Asked<LimitStore> {
    return this.#get(this.#redis, ref, ref.name, this.env.redis, (store) => store.close());
  }

  /** `domain` is told with each question, so services of one name and wait are one. */
  service(ref: RlsRef): Asked<RateLimitService> {
    return this.#get(this.#services, { ...ref, domain: '' }, ref.service, this.env.rls, () => {});
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.lines.close();
    this.local.close();
    const asked = [...this.#redis.values(), ...this.#services.values()];
    await Promise.all(asked.map((store) => store.close()));
  }

  #get<R extends RedisRef | RlsRef, T>(
    known: Map<string, Asked<T>>,
    ref: R,
    name: string,
    make: ((ref: R) => T | Promise<T>) | undefined,
    discard: (made: T) => Promise<void> | void,
  ): Asked<T> {
    const text = JSON.stringify(ref);
    let asked = known.get(text);
    if (asked === undefined) {
      const made = (): T | Promise<T> => {
        if (make === undefined || this.#closed) throw new Error(`there is no store of kind "${ref.kind}" here`);
        return make(ref);
      };
      asked = new Asked(`${ref.kind}:${name}`, ref.timeoutMs, made, discard, this.env);
      known.set(text, asked);
    }
    return asked;
  }
}
