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

const NO_NAMES: readonly string[] = [];

/**
 * Good replies by what was asked for, the one used last at the end; the one not used for longest goes when there are too many. A reply that varies is kept
 * once for each variant (RFC 9111 section 4.1), of which the newest reply says what they vary by.
 */
export class StaleCache {
  readonly #entries = new Map<string, Kept>();
  /** By key, of replies that vary. */
  readonly #names = new Map<string, readonly string[]>();

  constructor(
    private readonly maxEntries: number,
    private readonly clock: Clock,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  put(key: string, names: readonly string[], variant: Variant, kept: Kept): void {
    if (names.length > 0) touch(this.#names, key, names, this.maxEntries);
    else this.#names.delete(key);
    touch(this.#entries, fullKey(key, names, variant), kept, this.maxEntries);
  }

  get(key: string, variant: Variant): Kept | undefined {
    const full = fullKey(key, this.#names.get(key) ?? NO_NAMES, variant);
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

const fullKey = (key: string, names: readonly string[], variant: Variant): string =>
  names.length === 0 ? key : `${key}\n${variant(names)}`;

/** Makes it the newest, and lets the oldest go when there are too many. */
function touch<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= limit) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
