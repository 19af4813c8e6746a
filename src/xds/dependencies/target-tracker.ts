import type { ConfigWatcher } from '../../core/config-source.js';
import { ConfigUnavailableError, type MeshError } from '../../core/errors.js';
import type { Route } from '../../core/model/route.js';
import type { TargetConfig } from '../../core/model/target.js';
import { LISTENER, ROUTE } from '../../core/resources.js';
import type { ResourceCache } from '../resource-cache.js';
import type { ClientListener } from '../resources/listener.js';
import type { RouteConfiguration } from '../../core/model/route.js';
import { chooseVirtualHost } from '../../routing/virtual-host.js';
import type { ClusterState } from './cluster-node.js';
import type { ClusterHold, Clusters } from './clusters.js';
import { clusterNames, targetRoutes } from './routes.js';
import { Slot, type SlotOwner, type Trouble } from './slot.js';

export interface TrackerOptions {
  readonly authority: string;
  /** Name of the Listener to ask for. */
  readonly listenerName: string;
  readonly cache: ResourceCache;
  readonly clusters: Clusters;
}

/**
 * Everything that one destination depends on (gRFC A74): LDS → RDS → CDS → EDS or DNS. It publishes a configuration only when
 * every cluster that its routes name is known, be it as trouble; until then the one from before stands, and goes on to follow its
 * clusters. Trouble with LDS or RDS is the destination's; trouble with a cluster is that cluster's alone.
 *
 * What happens within one turn is published once, at its end, so that an update of many resources is never seen in part.
 */
export class TargetTracker {
  readonly #owner: SlotOwner = {
    changed: () => this.#schedule(),
    ambient: (error) => {
      if (this.#published !== undefined) this.out.ambient(this.#unavailable('last configuration stands', error));
    },
  };
  readonly #lds: Slot<typeof LISTENER>;
  readonly #rds: Slot<typeof ROUTE>;
  /** Clusters of the routes that serve and of those that warm. */
  readonly #held = new Map<string, ClusterHold>();
  /** The routes that serve, and where they came from. */
  #active: { readonly routes: readonly Route[]; readonly rdsName: string | undefined } | undefined;
  #published: TargetConfig | undefined;
  /** What was told last when it was not a configuration: nothing is told twice. */
  #toldTrouble: Error | 'unknown' | undefined;
  #scheduled = false;
  #closed = false;

  constructor(
    private readonly options: TrackerOptions,
    private readonly out: ConfigWatcher,
  ) {
    this.#lds = new Slot(options.cache, LISTENER, this.#owner);
    this.#rds = new Slot(options.cache, ROUTE, this.#owner);
  }

  /** Begins to watch; tells what can be told at once before it returns. */
  start(): void {
    this.#lds.point(this.options.listenerName);
    this.#evaluate();
  }

  close(): void {
    this.#closed = true;
    this.#lds.close();
    this.#rds.close();
    this.#drop();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (!this.#closed) this.#evaluate();
    });
  }

  #evaluate(): void {
    const { value: listener, trouble } = this.#lds;
    if (trouble !== undefined) {
      this.#rds.close();
      this.#fail(`listener "${this.options.listenerName}"`, trouble, 'unknown');
      return;
    }
    if (listener === undefined) return;
    if (listener.kind === 'server') {
      this.#rds.close();
      const error = new Error('it has no api_listener: it is for a server, not for its clients (gRFC A27)');
      this.#fail(`listener "${this.options.listenerName}"`, { error, reason: 'invalid' }, 'failed');
      return;
    }
    const config = this.#routeConfiguration(listener);
    if (config === 'failed') return;
    if (config !== undefined && !this.#warm(listener, config)) return;
    this.#publish();
  }

  /** Undefined while it is awaited. */
  #routeConfiguration(listener: ClientListener): RouteConfiguration | 'failed' | undefined {
    if (listener.routes.kind === 'inline') {
      this.#rds.close();
      return listener.routes.config;
    }
    const { name } = listener.routes;
    this.#rds.point(name);
    const { trouble } = this.#rds;
    if (trouble === undefined) return this.#rds.value;
    if (this.#active !== undefined && this.#active.rdsName !== name) {
      // Sent to look elsewhere, and there is nothing there: what serves goes on to serve.
      this.#stands(trouble.error);
      return undefined;
    }
    this.#fail(`route configuration "${name}"`, trouble, 'failed');
    return 'failed';
  }

  /** Takes up the new routes if all of their clusters are known. False when there are none for this authority. */
  #warm(listener: ClientListener, config: RouteConfiguration): boolean {
    const { authority } = this.options;
    const virtualHost = chooseVirtualHost(config.virtualHosts, authority, config.ignorePort);
    if (virtualHost === undefined) {
      const error = new Error(`no virtual host for "${authority}"`);
      this.#fail(`route configuration "${config.name}"`, { error, reason: 'invalid' }, 'failed');
      return false;
    }
    const routes = targetRoutes(virtualHost.routes, listener.maxStreamDurationMs, this.#active?.routes);
    const names = clusterNames(routes);
    for (const name of names) {
      if (!this.#held.has(name)) this.#held.set(name, this.options.clusters.hold(name, this.#owner));
    }
    const keep = new Set(names);
    const known = names.every((name) => this.#held.get(name)?.state !== undefined);
    if (known) {
      this.#active = { routes, rdsName: this.#rds.name };
      this.#toldTrouble = undefined;
    } else if (this.#active !== undefined) for (const name of clusterNames(this.#active.routes)) keep.add(name);
    for (const [name, hold] of this.#held) {
      if (keep.has(name)) continue;
      this.#held.delete(name);
      hold.release();
    }
    return true;
  }

  #publish(): void {
    if (this.#active === undefined) return;
    const { routes } = this.#active;
    const clusters = new Map<string, ClusterState>();
    for (const name of clusterNames(routes)) {
      const state = this.#held.get(name)?.state;
      if (state !== undefined) clusters.set(name, state);
    }
    const last = this.#published;
    if (last !== undefined && last.routes === routes && sameEntries(last.clusters, clusters)) return;
    this.#published = Object.freeze({ authority: this.options.authority, routes, clusters });
    this.out.changed(this.#published);
  }

  #fail(what: string, { error, reason }: Trouble, whenAbsent: 'unknown' | 'failed'): void {
    this.#drop();
    const told = whenAbsent === 'unknown' && reason === 'does-not-exist' ? 'unknown' : error;
    if (told === this.#toldTrouble || (told instanceof Error && sameMessage(told, this.#toldTrouble))) return;
    this.#toldTrouble = told;
    if (told === 'unknown') this.out.unknown();
    else this.out.failed(this.#unavailable(`${what} cannot be used (${reason})`, error));
  }

  #stands(error: Error): void {
    if (sameMessage(error, this.#toldTrouble)) return;
    this.#toldTrouble = error;
    this.out.ambient(this.#unavailable('last configuration stands', error));
  }

  #drop(): void {
    for (const hold of this.#held.values()) hold.release();
    this.#held.clear();
    this.#active = undefined;
    this.#published = undefined;
  }

  #unavailable(what: string, cause: Error): MeshError {
    return new ConfigUnavailableError(`destination "${this.options.authority}": ${what}: ${cause.message}`, { cause });
  }
}

function sameMessage(error: Error, other: Error | 'unknown' | undefined): boolean {
  return other instanceof Error && other.message === error.message;
}

function sameEntries(a: ReadonlyMap<string, ClusterState>, b: ReadonlyMap<string, ClusterState>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, state] of b) if (a.get(name) !== state) return false;
  return true;
}
