import type { ConfigSource, ConfigWatcher } from '../core/config-source.js';
import type { DnsOptions } from '../core/dns.js';
import { MeshClosedError } from '../core/errors.js';
import type { LoadRecorder } from '../core/load-reports.js';
import type { Logger } from '../core/log.js';
import type { ResourcesDump } from '../core/resources.js';
import { Clusters } from './dependencies/clusters.js';
import { TargetTracker } from './dependencies/target-tracker.js';
import type { ResourceCache } from './resource-cache.js';

export interface XdsConfigSourceOptions {
  /** Decoded resources: an AdsClient or a ResourceStore. */
  readonly cache: ResourceCache;
  /** The Listener to ask for, for an authority as the application wrote it (the bootstrap's template). */
  readonly listenerName: (authority: string) => string;
  /** For clusters that are found by DNS. */
  readonly dns: DnsOptions;
  readonly logger: Logger;
  /** Who counts load for a control plane that asks; undefined: nobody does. */
  readonly loads?: LoadRecorder | undefined;
  /** The resources behind the configuration; undefined: they are not shown. */
  readonly dump?: () => ResourcesDump | undefined;
  /** When the first resources, or the control plane, are there. */
  readonly ready: () => Promise<void>;
  /** Ends what feeds the cache. */
  readonly close: () => Promise<void>;
}

/** One authority that is watched, and all who watch it. */
interface Destination {
  readonly tracker: TargetTracker;
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
}

/** A ConfigSource on xDS resources, wherever they come from. Watchers of one authority share all that is behind it. */
export function xdsConfigSource(options: XdsConfigSourceOptions): XdsConfigSource {
  const { cache, logger } = options;
  const clusters = new Clusters(cache, options.dns);
  const destinations = new Map<string, Destination>();
  let closing: Promise<void> | undefined;

  const open = (authority: string): Destination => {
    const watchers = new Set<ConfigWatcher>();
    const tell = (event: (watcher: ConfigWatcher) => void): void => {
      for (const watcher of [...watchers]) if (watchers.has(watcher)) guarded(logger, () => event(watcher));
    };
    const remember = (event: (watcher: ConfigWatcher) => void): void => {
      destination.replay = event;
      tell(event);
    };
    const tracker = new TargetTracker(
      { authority, listenerName: options.listenerName(authority), cache, clusters, clock: options.dns.clock },
      {
        changed: (config) => remember((watcher) => watcher.changed(config)),
        failed: (error) => remember((watcher) => watcher.failed(error)),
        unknown: () => remember((watcher) => watcher.unknown()),
        ambient: (error) => tell((watcher) => watcher.ambient(error)),
      },
    );
    const destination: Destination = { tracker, watchers, replay: undefined };
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
        destination.tracker.close();
      };
    },
    holdCluster: (authority, cluster) => destinations.get(authority)?.tracker.hold(cluster) ?? (() => {}),
    ready: () => options.ready(),
    loads: options.loads,
    dump: () => options.dump?.(),
    close() {
      closing ??= (async () => {
        for (const { tracker, watchers } of destinations.values()) {
          watchers.clear();
          tracker.close();
        }
        destinations.clear();
        await options.close();
      })();
      return closing;
    },
  };
}

/** A watcher that throws must not keep the others from being told. */
function guarded(logger: Logger, tell: () => void): void {
  try {
    tell();
  } catch (error) {
    logger.error('a watcher of configuration failed', { error: String(error) });
  }
}
