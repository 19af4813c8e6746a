import { MeshError } from '../core/errors.js';
import type { RouteConfiguration } from '../core/model/route.js';
import type { ServerConfig, WatchServer } from '../core/server-config.js';

/**
 * Servers whose rate limit services can be called: a service that a listener's filter names is a cluster, which `keep` has loaded as long as the
 * configuration of some server names it.
 */
export const keepingServices =
  (watch: WatchServer, keep: (cluster: string) => () => void): WatchServer =>
  (server, watcher) => {
    let kept = new Map<string, () => void>();
    const take = (names: ReadonlySet<string>): void => {
      const before = kept;
      kept = new Map([...names].map((name) => [name, before.get(name) ?? keep(name)]));
      for (const [name, release] of before) if (!kept.has(name)) release();
    };
    const stop = watch(server, {
      changed: (config) => {
        take(servicesOf(config));
        watcher.changed(config);
      },
      failed: (error) => {
        watcher.failed(error);
        take(new Set());
      },
      ambient: (error) => watcher.ambient(error),
    });
    return () => {
      stop();
      take(new Set());
    };
  };

/** Of configurations that have been seen: one is handed on again with every change of another beside it. */
const known = new WeakMap<RouteConfiguration, readonly string[]>();

function servicesOf({ listener, routes }: ServerConfig): ReadonlySet<string> {
  const { filterChains, defaultFilterChain } = listener;
  const names = new Set<string>();
  const add = (config: RouteConfiguration): void => {
    const found = known.get(config) ?? servicesIn(config);
    known.set(config, found);
    for (const name of found) names.add(name);
  };
  for (const { routes: source } of defaultFilterChain === undefined
    ? filterChains
    : [...filterChains, defaultFilterChain])
    if (source.kind === 'inline') add(source.config);
  for (const config of routes.values()) if (!(config instanceof MeshError)) add(config);
  return names;
}

function servicesIn({ virtualHosts }: RouteConfiguration): readonly string[] {
  const names = new Set<string>();
  for (const { routes } of virtualHosts)
    for (const { limits, extAuthz } of routes) {
      for (const { service } of extAuthz ?? []) names.add(service.cluster);
      for (const { store } of limits?.rules ?? []) if (store.kind === 'rls') names.add(store.service);
    }
  return [...names];
}
