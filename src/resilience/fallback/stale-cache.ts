import type { Clock } from '../../core/clock.js';
import type { HeaderFields } from '../../core/headers.js';

export interface Kept {
  readonly status: number;
  readonly headers: HeaderFields;
  readonly bytes: Uint8Array;
  readonly trailers: HeaderFields | undefined;
  /** Monotonic milliseconds at which it was made, and after which it is not used. */
  readonly madeAt: number;
  readonly goodUntil: number;
}

/** Request fields by which replies to one key differ. */
export type Variant = (names: readonly string[]) => string;

/** What the replies to one key vary by. One that is forgotten takes its variants along: none has the number of the next. */
interface Varying {
  readonly names: readonly string[];
  readonly generation: number;
}

/**
 * Good replies by what was asked for, the one used last at the end; the one not used for longest goes when there are too many. A reply that varies is kept
 * once for each variant (RFC 9111 section 4.1), of which the newest reply says what they vary by.
 *
 * What is changed is forgotten (RFC 9111 section 4.4), with all its variants, and also what was asked for before the change and comes after it.
 */
export class StaleCache {
  readonly #entries = new Map<string, Kept>();
  /** By key, of replies that vary. */
  readonly #names = new Map<string, Varying>();
  /** By key, which change was its last, the latest at the end. */
  readonly #changed = new Map<string, number>();
  #changes = 0;
  /** Changes up to this one may be forgotten. */
  #forgotten = 0;
  #generations = 0;

  constructor(
    private readonly maxEntries: number,
    private readonly clock: Clock,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  /** How many changes there have been: `since` of what is asked for now. */
  get changes(): number {
    return this.#changes;
  }

  /** `since`: the number of changes when it was asked for. */
  put(key: string, names: readonly string[], variant: Variant, kept: Kept, since = this.#changes): void {
    if (since < this.#forgotten || since < (this.#changed.get(key) ?? 0)) return;
    let varying: Varying | undefined;
    if (names.length > 0) {
      varying = { names, generation: this.#names.get(key)?.generation ?? ++this.#generations };
      touch(this.#names, key, varying, this.maxEntries);
    } else this.#names.delete(key);
    touch(this.#entries, fullKey(key, varying, variant), kept, this.maxEntries);
  }

  /** What is kept of these keys is true no more. */
  change(keys: readonly string[]): void {
    this.#changes++;
    for (const key of keys) {
      this.#entries.delete(key);
      this.#names.delete(key);
      const oldest = touch(this.#changed, key, this.#changes, this.maxEntries);
      if (oldest !== undefined) this.#forgotten = oldest;
    }
  }

  get(key: string, variant: Variant): Kept | undefined {
    const full = fullKey(key, this.#names.get(key), variant);
    const kept = this.#entries.get(full);
    if (kept === undefined) return undefined;
    if (this.clock.now() <= kept.goodUntil) {
      touch(this.#entries, full, kept, this.maxEntries);
      return kept;
    }
    this.#entries.delete(full);
    return undefined;
  }
}

const fullKey = (key: string, varying: Varying | undefined, variant: Variant): string =>
  varying === undefined ? key : `${key}\n${varying.generation}\n${variant(varying.names)}`;

/** Makes it the newest, and lets the oldest go when there are too many: the result. */
function touch<T>(map: Map<string, T>, key: string, value: T, limit: number): T | undefined {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return undefined;
  const [oldest] = map;
  if (oldest !== undefined) map.delete(oldest[0]);
  return oldest?.[1];
}
