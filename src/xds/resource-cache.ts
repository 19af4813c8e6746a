import type { ResourceType, ResourceWatcher } from '../core/resources.js';

/** Where decoded resources come from: the xDS client's cache, or the embedded store. */
export interface ResourceCache {
  /**
   * Watches one resource until the result is called. Tells what is known at once, before it returns; a resource of which nothing is
   * known yet says nothing until it is.
   */
  watch(type: ResourceType, name: string, watcher: ResourceWatcher): () => void;
}
