import type { LimitState, LimitStore } from '../../../core/limits.js';
import type { Limit, LimitStoreRef } from '../../../core/model/limit.js';
import { RedisConnection, type RedisEnv } from './connection.js';
import { RedisCounts } from './counts.js';
import { LeasedStore } from './leases.js';
import { REDIS_URL_VARIABLE, type RedisTarget, redisTarget } from './options.js';
import { limitScripts, type Scripts } from './scripts.js';
import { RedisStore } from './store.js';

export type RedisRef = Extract<LimitStoreRef, { readonly kind: 'redis' }>;

/** One Redis and how many stores use it. */
interface Shared {
  readonly connection: RedisConnection;
  users: number;
}

/**
 * Makes the stores of limits in Redis. All that name the same Redis share its connection, which is opened with the first of them and closed with the last. A
 * client that the application gave is never closed.
 */
export class RedisStores {
  readonly #targets: Readonly<Record<string, RedisTarget>>;
  readonly #env: RedisEnv;
  readonly #scripts: Scripts;
  readonly #open = new Map<string, Shared>();

  /** `targets`: what the application calls what, from `redisTargets`. */
  constructor(targets: Readonly<Record<string, RedisTarget>>, env: RedisEnv, scripts: Scripts = limitScripts()) {
    this.#targets = targets;
    this.#env = env;
    this.#scripts = scripts;
  }

  open(ref: RedisRef): LimitStore {
    const target = this.#targetOf(ref);
    if (target instanceof Error) return new NoStore(target);
    const { name, urls = [], timeoutMs, lease } = ref;
    const id = Object.hasOwn(this.#targets, name) ? name : JSON.stringify([name, ...urls]);
    const shared = this.#share(id, name, target);
    const counts = new RedisCounts(shared.connection, this.#scripts, this.#env.clock, timeoutMs);
    const store = lease === undefined ? new RedisStore(counts) : new LeasedStore(counts, lease, this.#env.clock);
    return new OpenStore(store, () => {
      if (--shared.users > 0) return;
      shared.connection.close();
      this.#open.delete(id);
    });
  }

  #share(id: string, name: string, target: RedisTarget): Shared {
    let shared = this.#open.get(id);
    if (shared === undefined) {
      shared = { connection: new RedisConnection(name, target, this.#env), users: 0 };
      this.#open.set(id, shared);
    }
    shared.users++;
    return shared;
  }

  #targetOf({ name, urls = [] }: RedisRef): RedisTarget | Error {
    if (Object.hasOwn(this.#targets, name)) return this.#targets[name] as RedisTarget;
    if (urls.length === 0) {
      const variable = name === 'default' ? ` or ${REDIS_URL_VARIABLE}` : '';
      return new Error(
        `no Redis is called "${name}": give meshClient({ redis: { ${JSON.stringify(name)}: url } })${variable}`,
      );
    }
    try {
      return redisTarget(urls.length === 1 ? urls[0] : urls, `redis "${name}"`);
    } catch (error) {
      return error as Error;
    }
  }
}

/** Where there is nobody to ask. */
class NoStore implements LimitStore {
  constructor(private readonly reason: Error) {}

  take(): Promise<LimitState> {
    return Promise.reject(this.reason);
  }

  close(): void {}
}

/** A store that tells, once, when it is closed. */
class OpenStore implements LimitStore {
  #closed = false;

  constructor(
    private readonly store: LimitStore,
    private readonly onClose: () => void,
  ) {}

  take(key: string, limit: Limit, cost: number): LimitState | Promise<LimitState> {
    return this.#closed
      ? Promise.reject(new Error('this store of limits is closed'))
      : this.store.take(key, limit, cost);
  }

  giveBack(key: string, limit: Limit, cost: number, taken: LimitState): void {
    this.store.giveBack?.(key, limit, cost, taken);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.store.close();
    this.onClose();
  }
}
