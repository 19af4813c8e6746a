import type { DnsOptions } from '../../core/dns.js';
import type { ResourceCache } from '../resource-cache.js';
import { ClusterNode, type NodeState } from './cluster-node.js';
import type { SlotOwner } from './slot.js';

/** One user's hold on a cluster. */
export interface ClusterHold {
  readonly state: NodeState | undefined;
  release(): void;
}

/**
 * All clusters that any destination needs, each once: destinations which share a cluster see the same object, its endpoints are
 * watched (and its names resolved) once, and it is let go when nobody holds it any more.
 */
export class Clusters {
  readonly #nodes = new Map<string, ClusterNode>();

  constructor(
    private readonly cache: ResourceCache,
    private readonly dns: DnsOptions,
  ) {}

  /** Clusters held now. */
  get size(): number {
    return this.#nodes.size;
  }

  /** What is known of the cluster is in `state` at once; `listener` is told of what comes later. */
  hold(name: string, listener: SlotOwner): ClusterHold {
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = new ClusterNode(name, this.cache, this.dns);
      this.#nodes.set(name, node);
    }
    // A listener of its own per hold, so that one who holds a cluster twice may release it once.
    const own: SlotOwner = { changed: () => listener.changed(), ambient: (error) => listener.ambient(error) };
    const held = node;
    held.listen(own);
    return {
      get state() {
        return held.state;
      },
      release: () => {
        held.unlisten(own);
        if (held.listeners > 0 || this.#nodes.get(name) !== held) return;
        this.#nodes.delete(name);
        held.close();
      },
    };
  }
}
