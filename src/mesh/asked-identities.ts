import type { ConfigSource } from '../core/config-source.js';
import { MeshError } from '../core/errors.js';
import type { TargetConfig } from '../core/model/target.js';
import type { DownstreamTls, UpstreamTls } from '../core/model/tls.js';
import type { ServerConfig, WatchServer } from '../core/server-config.js';

/** Told of a certificate provider instance that configuration names; again with each configuration that does. */
export type Ask = (instance: string) => void;

/** A certificate takes a while to come: it is asked for as soon as a destination's configuration names it, and not by the first connection. */
export const askingForDestinations =
  (watch: ConfigSource['watch'], ask: Ask): ConfigSource['watch'] =>
  (authority, watcher) =>
    watch(authority, {
      changed: (config) => {
        askOfTarget(config, ask);
        watcher.changed(config);
      },
      failed: (error) => watcher.failed(error),
      ambient: (error) => watcher.ambient(error),
      unknown: () => watcher.unknown(),
    });

/** The same of this process's own servers. */
export const askingForServers =
  (watch: WatchServer, ask: Ask): WatchServer =>
  (server, watcher) =>
    watch(server, {
      changed: (config) => {
        askOfServer(config, ask);
        watcher.changed(config);
      },
      failed: (error) => watcher.failed(error),
      ambient: (error) => watcher.ambient(error),
    });

function askOfTarget({ clusters }: TargetConfig, ask: Ask): void {
  for (const cluster of clusters.values())
    if (!(cluster instanceof MeshError) && cluster.kind !== 'aggregate') askOf(cluster.tls, ask);
}

function askOfServer({ listener: { filterChains, defaultFilterChain } }: ServerConfig, ask: Ask): void {
  for (const { tls } of filterChains) askOf(tls, ask);
  askOf(defaultFilterChain?.tls, ask);
}

function askOf(tls: UpstreamTls | DownstreamTls | undefined, ask: Ask): void {
  if (tls?.identity !== undefined) ask(tls.identity);
  if (tls?.roots?.kind === 'provider') ask(tls.roots.instance);
}
