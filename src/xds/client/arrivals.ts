import { LISTENER, type ResourceType, ROUTE } from '../../core/resources.js';
import type { Arrival, CacheEntry } from './cache-entry.js';
import { canonicalName } from './names.js';

/** How many values there are, by the server that they are of. */
class Origins {
  #total = 0;
  readonly #byServer = new Map<string, number>();

  count(server: string, change: 1 | -1): void {
    const now = (this.#byServer.get(server) ?? 0) + change;
    if (now > 0) this.#byServer.set(server, now);
    else this.#byServer.delete(server);
    this.#total += change;
  }

  otherThan(server: string): number {
    return this.#total - (this.#byServer.get(server) ?? 0);
  }
}

/** What the values in a cache have in common, counted as they come and go, so that no question about them looks at each. */
export class Arrivals {
  /** Of listeners and routes, by authority. */
  readonly #roots = new Map<string | undefined, Origins>();
  /** By type and the name that the server has for it: entries that were asked for by another name. */
  readonly #aliased = new Map<string, Set<CacheEntry>>();

  /** The entry's value is another one now, or gone. */
  moved(entry: CacheEntry, before: Arrival | undefined, after: Arrival | undefined): void {
    if (before?.server === after?.server && before?.resourceName === after?.resourceName) return;
    if (before !== undefined) this.#remove(entry, before);
    if (after !== undefined) this.#add(entry, after);
  }

  /** Entries of which the server has sent this name, and that were asked for by an alias of it (xds_protocol). */
  called(type: ResourceType, name: string): Iterable<CacheEntry> {
    return this.#aliased.get(keyOf(type, name)) ?? [];
  }

  /** Listeners or routes of the authority are in use that another server sent. */
  hasForeignRoots(authority: string | undefined, server: string): boolean {
    return (this.#roots.get(authority)?.otherThan(server) ?? 0) > 0;
  }

  #add(entry: CacheEntry, { server, resourceName }: Arrival): void {
    if (isRoot(entry)) {
      const origins = this.#roots.get(entry.authority) ?? new Origins();
      this.#roots.set(entry.authority, origins);
      origins.count(server, 1);
    }
    const name = canonicalName(entry.type, resourceName);
    if (name === entry.name) return;
    const key = keyOf(entry.type, name);
    const entries = this.#aliased.get(key) ?? new Set();
    this.#aliased.set(key, entries.add(entry));
  }

  #remove(entry: CacheEntry, { server, resourceName }: Arrival): void {
    if (isRoot(entry)) this.#roots.get(entry.authority)?.count(server, -1);
    const key = keyOf(entry.type, canonicalName(entry.type, resourceName));
    const entries = this.#aliased.get(key);
    if (entries?.delete(entry) && entries.size === 0) this.#aliased.delete(key);
  }
}

const isRoot = ({ type }: CacheEntry): boolean => type === LISTENER || type === ROUTE;
const keyOf = (type: ResourceType, name: string): string => `${type} ${name}`;
