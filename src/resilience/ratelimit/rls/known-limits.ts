import type { Limit } from '../../../core/model/limit.js';

/** Keys whose limits are remembered; the one that was told of longest ago makes room. */
const MAX_KEYS = 10_000;

/**
 * What rate limit services have said that their limits are, for the time in which one does not answer and `onStoreFailure` is `local`. A key that it was not
 * asked about counts by what it last said of the rule: most services have one limit for all keys of a kind.
 */
export class KnownLimits {
  readonly #byKey = new Map<string, Limit | undefined>();
  readonly #byRule = new Map<string, Limit | undefined>();

  /** `limit`: undefined where the service has none. */
  learn(rule: string, key: string, limit: Limit | undefined): void {
    this.#byRule.set(rule, limit);
    this.#byKey.delete(key);
    this.#byKey.set(key, limit);
    if (this.#byKey.size <= MAX_KEYS) return;
    const [oldest] = this.#byKey.keys();
    this.#byKey.delete(oldest as string);
  }

  /** Undefined: none, or nothing is known. */
  of(rule: string, key: string): Limit | undefined {
    return this.#byKey.has(key) ? this.#byKey.get(key) : this.#byRule.get(rule);
  }
}
