import type { DnsOptions } from '../../core/dns.js';
import type { MeshError } from '../../core/errors.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { FallbackConfig } from '../../core/model/fallback.js';
import { TroubledCluster } from '../../core/model/troubled-cluster.js';
import { CLUSTER, ENDPOINT } from '../../core/resources.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Cluster } from '../resources/cluster.js';
import type { Discovery } from '../resources/discovery.js';
import { retain } from '../resources/share.js';
import { discover } from './discover.js';
import type { EndpointSource } from './endpoint-source.js';
import { Slot, type SlotOwner } from './slot.js';

/** An aggregate as its own resource has it: its members may be aggregates themselves, and nothing is known of them here. */
export interface AggregateMembers {
  readonly kind: 'members';
  readonly settings: Cluster['settings'];
  /** In order of preference. */
  readonly members: readonly string[];
}

/** What a cluster's own resources came to: its configuration with endpoints, or its members, or why there is neither. */
export type NodeState = ClusterConfig | AggregateMembers | MeshError;

/**
 * One cluster with what it alone depends on: CDS, and EDS or DNS. Its trouble stays its own (gRFC A74). When it is told to find its
 * endpoints elsewhere, the configuration from before stands until the new ones are known (warming, as in Envoy).
 */
export class ClusterNode {
  readonly #cds: Slot<typeof CLUSTER>;
  #discovery: Discovery | undefined;
  #source: EndpointSource | undefined;
  /** The source has not yet given the endpoints that `state` has. */
  #warming = false;
  #state: NodeState | undefined;
  readonly #listeners = new Set<SlotOwner>();
  readonly #owner: SlotOwner = {
    changed: () => this.#update(),
    ambient: (error) => this.#ambient(error),
  };

  constructor(
    readonly name: string,
    private readonly cache: ResourceCache,
    private readonly dns: DnsOptions,
  ) {
    this.#cds = new Slot(cache, CLUSTER, this.#owner);
    this.#cds.point(name);
    this.#update();
  }

  /** Undefined until it is known. */
  get state(): NodeState | undefined {
    return this.#state;
  }

  /** Listeners that are left. */
  get listeners(): number {
    return this.#listeners.size;
  }

  listen(listener: SlotOwner): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: SlotOwner): void {
    this.#listeners.delete(listener);
  }

  close(): void {
    this.#listeners.clear();
    this.#cds.close();
    this.#leaveSource();
  }

  #update(): void {
    const { trouble, value } = this.#cds;
    if (trouble !== undefined) {
      this.#leaveSource();
      this.#become(this.#unavailable('its Cluster resource', trouble.error));
    } else if (value?.discovery.kind === 'aggregate') {
      const { settings, discovery } = value;
      this.#leaveSource();
      this.#become(retain(this.#state, Object.freeze({ kind: 'members', settings, members: discovery.clusters })));
    } else if (value !== undefined) {
      this.#follow(value.discovery);
      const source = this.#source;
      if (source?.assignment !== undefined) {
        this.#warming = false;
        const scope = this.#scope(value.discovery);
        const config = { ...value.settings, ...source.assignment, ...(scope === undefined ? {} : { scope }) };
        this.#become(retain(this.#state, Object.freeze(config)));
      } else if (source?.error !== undefined) this.#endpointTrouble(value.discovery, source.error);
    }
  }

  #scope(discovery: Discovery): string | undefined {
    const own = this.cache.scopeOf?.(CLUSTER, this.name);
    return own ?? (discovery.kind === 'eds' ? this.cache.scopeOf?.(ENDPOINT, discovery.serviceName) : undefined);
  }

  #follow(discovery: Exclude<Discovery, { readonly kind: 'aggregate' }>): void {
    // Equal ones are the same object: `Slot` retains.
    if (discovery === this.#discovery) return;
    const old = this.#source;
    this.#discovery = discovery;
    this.#warming = true;
    this.#source = discover(discovery, this.cache, this.dns, this.#owner);
    old?.close();
  }

  #leaveSource(): void {
    this.#source?.close();
    this.#source = undefined;
    this.#discovery = undefined;
  }

  #endpointTrouble(discovery: Discovery, error: Error): void {
    const what =
      discovery.kind === 'eds' ? `its ClusterLoadAssignment "${discovery.serviceName}"` : 'the addresses of its hosts';
    const trouble = this.#unavailable(what, error, this.#cds.value?.settings.fallback);
    const serving = this.#state !== undefined && !(this.#state instanceof Error);
    if (this.#warming && serving) this.#ambient(trouble);
    else this.#become(trouble);
  }

  #unavailable(what: string, cause: Error, fallback?: readonly FallbackConfig[]): TroubledCluster {
    return new TroubledCluster(`cluster "${this.name}": ${what} cannot be used: ${cause.message}`, fallback, { cause });
  }

  #become(state: NodeState): void {
    if (state === this.#state) return;
    // Trouble that goes on, such as a name that still cannot be resolved, is told of once.
    if (state instanceof TroubledCluster && state.equals(this.#state)) return;
    this.#state = state;
    for (const listener of [...this.#listeners]) listener.changed();
  }

  #ambient(error: Error): void {
    for (const listener of [...this.#listeners]) listener.ambient(error);
  }
}
