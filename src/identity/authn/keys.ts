import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { JwksCare } from '../../core/model/authentication.js';
import { KeySet } from './key-set.js';

/** A token whose key is not known has the keys fetched again, unless that was done less than this long ago: milliseconds. jose's `cooldownDuration`. */
export const UNKNOWN_KEY_COOLDOWN_MS = 30_000;
/** After a fetch that failed, milliseconds until the next: at first (Envoy `failed_refetch_duration`), doubled up to the second. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;
/** Keys that are this many times as old as they should be are not used before new ones have been asked for. */
const STALE_FACTOR = 2;

export interface KeysEnv {
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The keys of one issuer, and their care: fetched when they are first needed, again in the background when they have grown old, and at once for a token of a key that is
 * not known (rotation). While they cannot be fetched the last good ones hold, until `keepMs`: then no token can be verified, and all are refused.
 */
export class Keys {
  #set: KeySet | undefined;
  /** Monotonic milliseconds. */
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #notBefore = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #fetching: Promise<void> | undefined;
  /** Why there are none, for messages. */
  #trouble = 'they have not been fetched yet';

  /** `name`: for logs, where they come from. `fetch`: rejects when it takes too long. */
  constructor(
    readonly name: string,
    private readonly care: JwksCare,
    private readonly fetch: () => Promise<string>,
    private readonly env: KeysEnv,
  ) {}

  get trouble(): string {
    return this.#trouble;
  }

  /** Those that hold now, and are looked after; undefined: they have to be waited for. */
  current(): KeySet | undefined {
    const age = this.env.clock.now() - this.#fetchedAt;
    if (this.#set === undefined || age >= this.care.keepMs) return undefined;
    if (age < this.care.refreshMs) return this.#set;
    const fetching = this.#refresh();
    // Nobody has used them for long: whoever is first now waits, if there is any hope.
    return age >= this.care.refreshMs * STALE_FACTOR && fetching !== undefined ? undefined : this.#set;
  }

  /** Those that hold once a fetch that is under way, or due, is over; undefined: there are none. Never rejects. */
  async soon(): Promise<KeySet | undefined> {
    await this.#refresh();
    const age = this.env.clock.now() - this.#fetchedAt;
    return age < this.care.keepMs ? this.#set : undefined;
  }

  /** The same for a token of a key that `known` does not have; undefined where nothing newer is to be had now. */
  async newerThan(known: KeySet): Promise<KeySet | undefined> {
    const age = this.env.clock.now() - this.#fetchedAt;
    if (this.#fetching === undefined && age < UNKNOWN_KEY_COOLDOWN_MS && this.#set === known) return undefined;
    const set = await this.soon();
    return set === known ? undefined : set;
  }

  /** Undefined: none is due, after one that has failed. */
  #refresh(): Promise<void> | undefined {
    if (this.#fetching !== undefined) return this.#fetching;
    const { clock, logger } = this.env;
    if (clock.now() < this.#notBefore) return undefined;
    this.#fetching = Promise.resolve()
      .then(this.fetch)
      .then((text) => {
        // What did not change keeps what was made of it, and tokens that were verified with it.
        if (this.#set?.text !== text) this.#set = KeySet.parse(text);
        this.#fetchedAt = clock.now();
        this.#failures = 0;
      })
      .catch((error: unknown) => {
        this.#trouble = error instanceof Error ? error.message : String(error);
        this.#notBefore = clock.now() + Math.min(FIRST_RETRY_MS * 2 ** this.#failures++, LAST_RETRY_MS);
        const holding = this.#set === undefined ? 'no token can be verified' : 'the last ones stand';
        logger.warn(`keys of an issuer cannot be had: ${holding}`, { keys: this.name, error: this.#trouble });
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    return this.#fetching;
  }
}
