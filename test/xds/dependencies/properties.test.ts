import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { ResourceStore } from '../../../src/xds/resource-store.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  ads,
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

const NAMES = ['a', 'b', 'c'] as const;
const name = fc.constantFrom(...NAMES);
const routesTo = (clusters: readonly string[]): Resource =>
  routeResource(
    'r',
    clusters.map((cluster) => toCluster(cluster)),
  );

/** Complete: every cluster that a route names is there, and no other; frozen all through. */
function checkComplete(config: TargetConfig): void {
  const named = new Set<string>();
  for (const { action } of config.routes)
    if (action.kind === 'forward') for (const { name } of action.clusters) named.add(name);
  expect([...config.clusters.keys()].sort()).toEqual([...named].sort());
  expect(Object.isFrozen(config) && config.routes.every(Object.isFrozen)).toBe(true);
  for (const state of config.clusters.values())
    if (!(state instanceof Error)) {
      expect(Object.isFrozen(state) && Object.isFrozen(state.kind === 'leaf' ? state.endpoints : state.leaves)).toBe(
        true,
      );
    }
}

type Step = (cache: ScriptedCache) => void;
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom('r', 'r2').map(
    (routes): Step =>
      (cache) =>
        cache.put(LISTENER, listenerResource('reviews', routes)),
  ),
  fc.tuple(fc.constantFrom('r', 'r2'), fc.array(name, { maxLength: 3 })).map(
    ([routes, to]): Step =>
      (cache) =>
        cache.put(ROUTE, { ...routesTo(to), name: routes }),
  ),
  name.map(
    (cluster): Step =>
      (cache) =>
        cache.put(CLUSTER, clusterResource(cluster)),
  ),
  fc.tuple(name, name).map(
    ([cluster, service]): Step =>
      (cache) =>
        cache.put(
          CLUSTER,
          clusterResource(cluster, { eds_cluster_config: { eds_config: ads, service_name: service } }),
        ),
  ),
  fc.tuple(name, fc.uniqueArray(fc.integer({ min: 1, max: 4 }))).map(
    ([cluster, ports]): Step =>
      (cache) =>
        cache.put(ENDPOINT, endpointResource(cluster, ...ports)),
  ),
  fc.tuple(fc.constantFrom(CLUSTER, ENDPOINT), name).map(
    ([type, lost]): Step =>
      (cache) =>
        cache.fail(type, lost),
  ),
  fc.constantFrom('r', 'r2').map(
    (routes): Step =>
      (cache) =>
        cache.fail(ROUTE, routes),
  ),
  fc.constant<Step>((cache) => cache.fail(LISTENER, 'reviews')),
);

test('whatever comes in whatever order, what is published is complete, and nothing is watched in the end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(step, fc.boolean()), { maxLength: 25 }), async (steps) => {
      const cache = new ScriptedCache();
      const { source } = sourceOn(cache);
      const watchers = [new RecordingWatcher(), new RecordingWatcher()];
      const stops = [source.watch('reviews', watchers[0] as RecordingWatcher)];
      for (const [change, endOfTurn] of steps) {
        change(cache);
        if (endOfTurn) await settle();
      }
      stops.push(source.watch('reviews', watchers[1] as RecordingWatcher));
      await settle();
      for (const { configs } of watchers) configs.forEach(checkComplete);
      // One who comes late is told where the others are.
      const current = watchers.map(({ events, configs }) =>
        events.findLast((event) => !event.startsWith('ambient')) === 'config' ? configs.at(-1) : undefined,
      );
      expect(current[1]).toBe(current[0]);
      for (const stop of stops) stop();
      expect(cache.watched).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test('an update of the store is seen as a whole: endpoints, clusters and routes of one version, never a mixture', async () => {
  /** A version: its clusters, each with one endpoint whose port is the version. */
  const version = fc.record({ clusters: fc.uniqueArray(name, { minLength: 1 }), indirect: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(version, { minLength: 1, maxLength: 8 }), async (versions) => {
      const store = new ResourceStore();
      const { source } = sourceOn(store);
      const watcher = new RecordingWatcher();
      source.watch('reviews', watcher);
      for (const [i, { clusters, indirect }] of versions.entries()) {
        const port = i + 1;
        const service = (cluster: string) => (indirect ? `${cluster}-${port}` : cluster);
        const refusals = store.update(
          resourceSet({
            cds: clusters.map((cluster) =>
              clusterResource(cluster, {
                alt_stat_name: `v${port}`,
                eds_cluster_config: { eds_config: ads, service_name: service(cluster) },
              }),
            ),
            eds: clusters.map((cluster) => endpointResource(service(cluster), port)),
            lds: [listenerResource('reviews', indirect ? `r${port}` : 'r')],
            rds: [{ ...routesTo(clusters), name: indirect ? `r${port}` : 'r' }],
          }),
        );
        expect(refusals).toEqual([]);
        await settle();
        expect(watcher.configs).toHaveLength(port);
        for (const state of watcher.last.clusters.values()) {
          expect(state).toMatchObject({ statName: `v${port}`, endpoints: [{ key: `127.0.0.1:${port}` }] });
        }
      }
      watcher.configs.forEach(checkComplete);
      expect(new Set(watcher.events)).toEqual(new Set(['config']));
      await source.close();
      expect(store.watched).toBe(0);
    }),
    { numRuns: 100 },
  );
});
