import type { Logger } from '../../core/log.js';
import {
  type DumpedResource,
  LISTENER,
  RESOURCE_TYPES,
  type ResourceType,
  type ResourceWatcher,
} from '../../core/resources.js';
import { Arrivals } from './arrivals.js';
import { CacheEntry } from './cache-entry.js';

/** What is watched, with its last good value. It holds what has a watcher and nothing else, so its size is the application's. */
export class Cache {
  readonly arrivals = new Arrivals();
  readonly #entries: ReadonlyMap<ResourceType, Map<string, CacheEntry>>;
  /** Entries that came or lost their last watcher since `settle`. */
  readonly #unsettled = new Set<CacheEntry>();

  /** `outlives`: that of `XdsClientOptions`. */
  constructor(
    private readonly logger: Logger,
    private readonly outlives: (listener: string) => boolean = () => true,
  ) {
    this.#entries = new Map(RESOURCE_TYPES.map((type) => [type, new Map()]));
  }

  /** Tells what is known before it returns. */
  watch(type: ResourceType, name: string, authority: string | undefined, watcher: ResourceWatcher): () => void {
    const entries = this.#of(type);
    let entry = entries.get(name);
    if (entry === undefined) {
      const outlives = (): boolean => type !== LISTENER || this.outlives(name);
      entry = new CacheEntry(type, name, authority, this.arrivals, outlives);
      entries.set(name, entry);
      this.#unsettled.add(entry);
    }
    const watched = entry;
    const safe = guarded(watcher, this.logger);
    watched.watchers.add(safe);
    watched.replay(safe);
    return () => {
      if (watched.watchers.delete(safe) && watched.watchers.size === 0) this.#unsettled.add(watched);
    };
  }

  /**
   * Decides on what changed hands: an entry without watchers goes. Not done at once, because who goes and comes back in one turn of the
   * loop has asked for nothing new, and would be answered with nothing.
   */
  settle(tell: (entry: CacheEntry, wanted: boolean) => void): void {
    const unsettled = [...this.#unsettled];
    this.#unsettled.clear();
    for (const entry of unsettled) {
      const wanted = entry.watchers.size > 0;
      if (!wanted) {
        entry.close();
        this.#of(entry.type).delete(entry.name);
      }
      tell(entry, wanted);
    }
  }

  get(type: ResourceType, name: string): CacheEntry | undefined {
    return this.#of(type).get(name);
  }

  /** Of one type, or of all. */
  *all(type?: ResourceType): Generator<CacheEntry> {
    if (type !== undefined) yield* this.#of(type).values();
    else for (const entries of this.#entries.values()) yield* entries.values();
  }

  dump(): DumpedResource[] {
    return [...this.all()].map((entry) => entry.dump());
  }

  close(): void {
    for (const entry of this.all()) entry.close();
    for (const entries of this.#entries.values()) entries.clear();
    this.#unsettled.clear();
  }

  #of(type: ResourceType): Map<string, CacheEntry> {
    return this.#entries.get(type) as Map<string, CacheEntry>;
  }
}

/** A watcher's mistake is its own: the others are told all the same, and the stream goes on. */
export function guarded(watcher: ResourceWatcher, logger: Logger): ResourceWatcher {
  const attempt = (tell: () => void): void => {
    try {
      tell();
    } catch (error) {
      logger.error('a watcher of an xDS resource failed', { error: String(error) });
    }
  };
  return {
    changed: (resource) => attempt(() => watcher.changed(resource)),
    failed: (error, reason) => attempt(() => watcher.failed(error, reason)),
    ambient: (error) => attempt(() => watcher.ambient(error)),
  };
}
