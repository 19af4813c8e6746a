import type { Clock } from '../../core/clock.js';
import type { ConfigWatcher } from '../../core/config-source.js';
import { ConfigUnavailableError, type MeshError, NoRouteError } from '../../core/errors.js';
import type { LayeredMap } from '../../core/layered-map.js';
import type { Route, RouteConfiguration } from '../../core/model/route.js';
import type { TargetConfig } from '../../core/model/target.js';
import { LISTENER, ROUTE } from '../../core/resources.js';
import { chooseVirtualHost } from '../../routing/virtual-host.js';
import type { ResourceCache } from '../resource-cache.js';
import type { Listener } from '../resources/listener.js';
import type { Clusters } from './clusters.js';
import { besideNames, clusterNames, targetRoutes } from './routes.js';
import { Slot, type SlotOwner, type Trouble } from './slot.js';
import { type ClusterState, TargetClusters } from './target-clusters.js';

export interface TrackerOptions {
  readonly authority: string;
  /** Name of the Listener to ask for. */
  readonly listenerName: string;
  readonly cache: ResourceCache;
  readonly clusters: Clusters;
  readonly clock: Pick<Clock, 'after'>;
}

type ApiListener = Extract<Listener, { readonly kind: 'api' }>;

/** Routes, the clusters that they name, and where they came from. */
interface Routes {
  readonly routes: readonly Route[];
  readonly names: readonly string[];
  /** Clusters that get copies of calls, or answer for limits: nobody waits for them. */
  readonly beside: readonly string[];
  readonly rdsName: string | undefined;
}

/**
 * Everything that one destination depends on (gRFC A74): LDS → RDS → CDS → EDS or DNS, through aggregates. It publishes a configuration only
 * when every cluster that its routes lead to is known, be it as trouble; until then the one from before stands, and goes on to follow its
 * clusters. Trouble with LDS or RDS is the destination's; trouble with a cluster is that cluster's alone.
 *
 * What happens within one turn is published once, at its end, so that an update of many resources is never seen in part. A change of clusters
 * that leaves the routes as they are costs what changed, not what there is.
 */
export class TargetTracker {
  readonly #owner: SlotOwner = {
    changed: () => this.#outdate(),
    ambient: (error) => this.#ambient(error),
  };
  readonly #lds: Slot<typeof LISTENER>;
  readonly #rds: Slot<typeof ROUTE>;
  /** Of the routes that serve, of those that warm, and of those who hold more. */
  readonly #clusters: TargetClusters;
  /** Clusters held beside the routes, and how often. */
  readonly #extra = new Map<string, number>();
  /** The routes that serve. */
  #active: Routes | undefined;
  #published: (TargetConfig & { readonly clusters: LayeredMap<string, ClusterState> }) | undefined;
  /** What was told last when it was not a configuration: nothing is told twice. */
  #toldTrouble: Error | 'unknown' | undefined;
  /** More than the clusters in `#changed` may be another: all is to be looked at. */
  #outdated = false;
  /** New routes wait for clusters that are not known. */
  #warming = false;
  readonly #changed = new Set<string>();
  #scheduled = false;
  /** Ends the wait of a large evaluation for its next turn. */
  #stopWaiting: (() => void) | undefined;
  #closed = false;

  constructor(
    private readonly options: TrackerOptions,
    private readonly out: ConfigWatcher,
  ) {
    this.#lds = new Slot(options.cache, LISTENER, this.#owner);
    this.#rds = new Slot(options.cache, ROUTE, this.#owner);
    this.#clusters = new TargetClusters(options.clusters, {
      changed: (name) => {
        this.#changed.add(name);
        this.#schedule();
      },
      ambient: (error) => this.#ambient(error),
    });
  }

  /** Begins to watch; tells what can be told at once before it returns. */
  start(): void {
    this.#lds.point(this.options.listenerName);
    this.#evaluate();
  }

  /**
   * Keeps the cluster in the configuration, whether routes name it or not, until the result is called: "an API to subscribe to a particular
   * cluster resource whose name was not present in the route configuration" - gRFC A74.
   */
  hold(cluster: string): () => void {
    this.#extra.set(cluster, (this.#extra.get(cluster) ?? 0) + 1);
    this.#outdate();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      const left = (this.#extra.get(cluster) ?? 1) - 1;
      if (left > 0) this.#extra.set(cluster, left);
      else {
        this.#extra.delete(cluster);
        this.#outdate();
      }
    };
  }

  close(): void {
    this.#closed = true;
    this.#stopWaiting?.();
    this.#lds.close();
    this.#rds.close();
    this.#drop();
  }

  #outdate(): void {
    this.#outdated = true;
    this.#schedule();
  }

  /** Lets the event loop turn before the next part of a large evaluation. */
  #goOn(): void {
    this.#stopWaiting ??= this.options.clock.after(
      0,
      () => {
        this.#stopWaiting = undefined;
        this.#outdate();
      },
      { background: true },
    );
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#closed) return;
      if (this.#outdated || !this.#follow()) this.#evaluate();
    });
  }

  /** Takes over changes of clusters alone. False when all must be looked at. */
  #follow(): boolean {
    const last = this.#published;
    const changes = this.#clusters.follow(this.#changed, last?.clusters);
    if (changes === undefined) return false;
    // The last of those that new routes wait for has come.
    if (this.#warming && this.#clusters.complete) return false;
    this.#changed.clear();
    if (last === undefined) return this.#warming;
    if (changes.length > 0) this.#tell(last.routes, last.clusters.with(changes));
    return true;
  }

  #evaluate(): void {
    this.#outdated = false;
    this.#warming = false;
    this.#changed.clear();
    const { value: listener, trouble } = this.#lds;
    if (trouble !== undefined) {
      this.#rds.close();
      this.#fail(`listener "${this.options.listenerName}"`, trouble, 'unknown');
      return;
    }
    if (listener === undefined) return;
    // "When the received listener resource is a socket listener instead of an API listener" - gRFC A74
    if (listener.kind !== 'api') {
      this.#rds.close();
      const error = new Error('it is a listener of a server, with an address; a client needs one with api_listener');
      this.#fail(`listener "${this.options.listenerName}"`, { error, reason: 'invalid' }, 'failed');
      return;
    }
    const config = this.#routeConfiguration(listener);
    if (config === 'failed') return;
    if (config !== undefined && !this.#warm(listener, config)) return;
    this.#publish();
  }

  /** Undefined while it is awaited. */
  #routeConfiguration(listener: ApiListener): RouteConfiguration | 'failed' | undefined {
    if (listener.routes.kind === 'inline') {
      this.#rds.close();
      return listener.routes.config;
    }
    const { name } = listener.routes;
    this.#rds.point(name);
    const { trouble } = this.#rds;
    if (trouble === undefined) return this.#rds.value;
    // "If the watchers did previously see OnResourceChanged(), then the OnError() event is ignored" - gRFC A74: sent to look elsewhere, with
    // nobody to ask there, what serves goes on to serve. But its watcher "will be invoked with an error […] when the listener or route
    // configuration watchers see OnResourceDoesNotExist()", and A88 says the same of every other data error where nothing is cached.
    if (trouble.reason === 'unreachable' && this.#active !== undefined && this.#active.rdsName !== name) {
      this.#stands(trouble.error);
      return undefined;
    }
    this.#fail(`route configuration "${name}"`, trouble, 'failed');
    return 'failed';
  }

  /** Takes up the new routes if all of their clusters are known. False when there are none for this authority. */
  #warm(listener: ApiListener, config: RouteConfiguration): boolean {
    const { authority } = this.options;
    const virtualHost = chooseVirtualHost(config.virtualHosts, authority, config.ignorePort);
    if (virtualHost === undefined) {
      const error = new NoRouteError(
        `destination "${authority}": no virtual host of route configuration "${config.name}" has it among its domains`,
      );
      this.#fail('', { error, reason: 'invalid' }, 'failed');
      return false;
    }
    const active = this.#active;
    const routes = targetRoutes(virtualHost.routes, listener, active?.routes);
    const isSame = active?.routes === routes;
    const names = isSame ? active.names : clusterNames(routes);
    const beside = isSame ? active.beside : besideNames(routes);
    const serving = active === undefined ? [] : [...active.names, ...active.beside];
    this.#clusters.hold(names, [...this.#extra.keys(), ...beside, ...serving]);
    if (!this.#clusters.complete) {
      this.#warming = true;
      if (this.#clusters.unfinished) this.#goOn();
      return true;
    }
    this.#active = { routes, names, beside, rdsName: this.#rds.name };
    this.#toldTrouble = undefined;
    if (!isSame) this.#clusters.hold(names, [...this.#extra.keys(), ...beside]);
    return true;
  }

  #publish(): void {
    if (this.#active === undefined) return;
    const { routes, names, beside } = this.#active;
    const last = this.#published;
    const clusters = this.#clusters.collect([...names, ...beside, ...this.#extra.keys()], last?.clusters);
    if (last !== undefined && last.routes === routes && sameEntries(last.clusters, clusters)) return;
    this.#tell(routes, clusters);
  }

  #tell(routes: readonly Route[], clusters: LayeredMap<string, ClusterState>): void {
    this.#published = Object.freeze({ authority: this.options.authority, routes, clusters });
    this.out.changed(this.#published);
  }

  #ambient(error: Error): void {
    if (this.#published !== undefined) this.out.ambient(this.#unavailable('last configuration stands', error));
  }

  #fail(what: string, { error, reason }: Trouble, whenAbsent: 'unknown' | 'failed'): void {
    this.#drop();
    const told = whenAbsent === 'unknown' && reason === 'does-not-exist' ? 'unknown' : error;
    if (told === this.#toldTrouble || (told instanceof Error && sameMessage(told, this.#toldTrouble))) return;
    this.#toldTrouble = told;
    if (told === 'unknown') this.out.unknown();
    else if (error instanceof NoRouteError) this.out.failed(error);
    else this.out.failed(this.#unavailable(`${what} cannot be used (${reason})`, error));
  }

  #stands(error: Error): void {
    if (sameMessage(error, this.#toldTrouble)) return;
    this.#toldTrouble = error;
    this.out.ambient(this.#unavailable('last configuration stands', error));
  }

  #drop(): void {
    this.#clusters.release();
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
