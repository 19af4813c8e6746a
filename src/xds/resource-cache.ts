import type { ResourceType, ResourceWatcher } from '../core/resources.js';

/** Where decoded resources come from: the xDS client's cache, or the embedded store. */
export interface ResourceCache {
  /**
   * Watches one resource until the result is called. Tells what is known at once, before it returns; a resource of which nothing is
   * known yet says nothing until it is.
   */
  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void;
  /**
   * The scope within which the value of a resource counts, when others may have another value of that name at the same time: theirs come from
   * the first server, and this one from a server that stands in for it (gRFC A71). Undefined: it is everybody's.
   */
  scopeOf?(type: ResourceType, name: string): string | undefined;
}

/** One cache for all, or one for each target, which may be the same. */
export type Caches = ResourceCache | ((target: string) => CacheLease);

/** A cache in use, until it is released. */
export interface CacheLease {
  readonly cache: ResourceCache;
  release(): void;
}

/** The target of all servers of a process together: "special value "#server" for xDS-enabled gRPC servers" - A71 */
export const SERVERS = '#server';

export const leases = (caches: Caches): ((target: string) => CacheLease) =>
  typeof caches === 'function' ? caches : () => ({ cache: caches, release() {} });
