import type { ConfigSource, ConfigWatcher } from '../core/config-source.js';
import type { DnsOptions } from '../core/dns.js';
import { ConfigUnavailableError, MeshClosedError, type MeshError } from '../core/errors.js';
import type { LoadRecorder } from '../core/load-reports.js';
import type { Logger } from '../core/log.js';
import type { ResourcesDump } from '../core/resources.js';
import { dataPlaneAuthority, formatXdsTarget, parseXdsTarget, type XdsTarget } from '../core/xds-target.js';
import { ClusterTracker } from './dependencies/cluster-tracker.js';
import { Clusters } from './dependencies/clusters.js';
import { TargetTracker } from './dependencies/target-tracker.js';
import { type Caches, leases, type ResourceCache, SERVERS } from './resource-cache.js';

export interface XdsConfigSourceOptions {
  /** Decoded resources. Targets are named `xds:///name` and `xds://authority/name`. */
  readonly cache: Caches;
  /**
   * The Listener to ask for, for a name as the application wrote it and the authority that an `xds://authority/name` target gives it. Undefined:
   * there is no such authority.
   */
  readonly listenerName: (name: string, xdsAuthority: string | undefined) => string | undefined;
  /** For clusters that are found by DNS. */
  readonly dns: DnsOptions;
  readonly logger: Logger;
  /** Who counts load for a control plane that asks; undefined: nobody does. */
  readonly loads?: LoadRecorder | undefined;
  /** The resources behind the configuration; undefined: they are not shown. */
  readonly dump?: () => readonly ResourcesDump[];
  /** When the first resources, or the control plane, are there. */
  readonly ready: () => Promise<void>;
  /** Ends what feeds the cache. */
  readonly close: () => Promise<void>;
}

/** One authority that is watched, and all who watch it. */
interface Destination {
  /** Ends what watches for it. */
  readonly close: () => void;
  readonly hold: TargetTracker['hold'];
  readonly watchers: Set<ConfigWatcher>;
  /** Tells a watcher that comes later what the others know. */
  replay: ((watcher: ConfigWatcher) => void) | undefined;
}

export interface XdsConfigSource extends ConfigSource {
  /**
   * Keeps a cluster in the configuration of an authority that is watched, though no route may name it any more, until the result is called
   * (gRFC A74's dynamic subscription): for calls that chose it and have not picked yet.
   */
  holdCluster(authority: string, cluster: string): () => void;
  /** Watches a cluster by its name, for what servers of this process call; it comes as their configuration does. */
  watchCluster(cluster: string, watcher: ConfigWatcher): () => void;
}

/** A ConfigSource on xDS resources, wherever they come from. Watchers of one authority share all that is behind it. */
export function xdsConfigSource(options: XdsConfigSourceOptions): XdsConfigSource {
  const { logger } = options;
  const lease = leases(options.cache);
  const clustersOf = new WeakMap<ResourceCache, Clusters>();
  const destinations = new Map<string, Destination>();
  let closing: Promise<void> | undefined;

  const clustersIn = (cache: ResourceCache): Clusters => {
    const clusters = clustersOf.get(cache) ?? new Clusters(cache, options.dns);
    clustersOf.set(cache, clusters);
    return clusters;
  };

  const open = (authority: string): Destination => {
    const watchers = new Set<ConfigWatcher>();
    const tell = (event: (watcher: ConfigWatcher) => void): void => {
      for (const watcher of [...watchers]) if (watchers.has(watcher)) guarded(logger, () => event(watcher));
    };
    const remember = (event: (watcher: ConfigWatcher) => void): void => {
      destination.replay = event;
      tell(event);
    };
    const out: ConfigWatcher = {
      changed: (config) => remember((watcher) => watcher.changed(config)),
      failed: (error) => remember((watcher) => watcher.failed(error)),
      unknown: () => remember((watcher) => watcher.unknown()),
      ambient: (error) => tell((watcher) => watcher.ambient(error)),
    };
    const target = parseXdsTarget(authority);
    const listenerName = options.listenerName(target.name, target.xdsAuthority);
    if (listenerName === undefined) {
      const destination: Destination = { close() {}, hold: () => () => {}, watchers, replay: undefined };
      destinations.set(authority, destination);
      destination.replay = (watcher) => watcher.failed(unknownAuthority(authority, target));
      return destination;
    }
    const { cache, release } = lease(formatXdsTarget(target));
    const named = { authority: dataPlaneAuthority(target), listenerName };
    const tracker = new TargetTracker({ ...named, cache, clusters: clustersIn(cache), clock: options.dns.clock }, out);
    const destination: Destination = {
      close: () => {
        tracker.close();
        release();
      },
      hold: (cluster) => tracker.hold(cluster),
      watchers,
      replay: undefined,
    };
    destinations.set(authority, destination);
    tracker.start();
    return destination;
  };

  return {
    watch(authority, watcher) {
      if (closing !== undefined) {
        guarded(logger, () => watcher.failed(new MeshClosedError()));
        return () => {};
      }
      const destination = destinations.get(authority) ?? open(authority);
      destination.watchers.add(watcher);
      if (destination.replay !== undefined) guarded(logger, () => destination.replay?.(watcher));
      return () => {
        if (!destination.watchers.delete(watcher) || destination.watchers.size > 0) return;
        destinations.delete(authority);
        destination.close();
      };
    },
    watchCluster(cluster, watcher) {
      if (closing !== undefined) {
        guarded(logger, () => watcher.failed(new MeshClosedError()));
        return () => {};
      }
      const { cache, release } = lease(SERVERS);
      const tracker = new ClusterTracker(cluster, clustersIn(cache), {
        changed: (config) => guarded(logger, () => watcher.changed(config)),
        failed: (error) => guarded(logger, () => watcher.failed(error)),
        unknown: () => guarded(logger, () => watcher.unknown()),
        ambient: (error) => guarded(logger, () => watcher.ambient(error)),
      });
      tracker.start();
      return () => {
        tracker.close();
        release();
      };
    },
    holdCluster: (authority, cluster) => destinations.get(authority)?.hold(cluster) ?? (() => {}),
    ready: () => options.ready(),
    loads: options.loads,
    dump: () => options.dump?.() ?? [],
    close() {
      closing ??= (async () => {
        for (const destination of destinations.values()) {
          destination.watchers.clear();
          destination.close();
        }
        destinations.clear();
        await options.close();
      })();
      return closing;
    },
  };
}

/** "it is an error if the specified authority is not present in this map" - A47 */
const unknownAuthority = (target: string, { xdsAuthority }: XdsTarget): MeshError =>
  new ConfigUnavailableError(
    `destination "${target}": the bootstrap has no authority "${xdsAuthority}": name it under authorities, or write xds:///name`,
  );

/** A watcher that throws must not keep the others from being told. */
function guarded(logger: Logger, tell: () => void): void {
  try {
    tell();
  } catch (error) {
    logger.error('a watcher of configuration failed', { error: String(error) });
  }
}
