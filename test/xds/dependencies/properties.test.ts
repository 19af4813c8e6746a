import fc from 'fast-check';
import { expect, test } from 'vitest';
import { struct } from '../../../src/controlplane/compile/proto.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { ResourceStore } from '../../../src/xds/resource-store.js';
import { aggregateResource } from '../../support/aggregate-resource.js';
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

const fallingBackTo = (cluster: string): Resource => ({
  metadata: { filter_metadata: { 'inmesh.dev': struct({ fallback: [{ service: { cluster } }] }) } },
});

/** Complete: every cluster that a route names is there, and no other but what those fall back to; frozen all through. */
function checkComplete(config: TargetConfig): void {
  const named = new Set<string>();
  for (const { action } of config.routes)
    if (action.kind === 'forward') for (const { name } of action.clusters) named.add(name);
  const shown = [...config.clusters.keys()];
  expect(shown).toEqual(expect.arrayContaining([...named]));
  const fallbacks = [...named].flatMap((name) => {
    const state = config.clusters.get(name);
    return state === undefined || state instanceof Error ? [] : (state.fallback ?? []);
  });
  const others = shown.filter((name) => !named.has(name));
  expect(fallbacks.map((fallback) => fallback.kind === 'service' && fallback.cluster)).toEqual(
    expect.arrayContaining(others),
  );
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
  fc
    .tuple(name, name)
    .filter(([cluster, other]) => cluster !== other)
    .map(
      ([cluster, other]): Step =>
        (cache) =>
          cache.put(CLUSTER, clusterResource(cluster, fallingBackTo(other))),
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

test('what clusters and aggregates came to, change by change, is what one who sees the end of it all at once sees', async () => {
  const [aggregates, leaves] = [['a', 'b', 'c'] as const, ['d', 'e', 'f'] as const];
  const [aggregate, leaf] = [fc.constantFrom(...aggregates), fc.constantFrom(...leaves)];
  const reason = fc.constantFrom('invalid', 'unreachable', 'does-not-exist');
  const change: fc.Arbitrary<Step> = fc.oneof(
    fc.tuple(aggregate, fc.uniqueArray(fc.oneof(aggregate, leaf), { minLength: 1 })).map(
      ([cluster, members]): Step =>
        (cache) =>
          cache.put(CLUSTER, aggregateResource(cluster, ...members)),
    ),
    fc.tuple(aggregate, reason).map(
      ([lost, why]): Step =>
        (cache) =>
          cache.fail(CLUSTER, lost, why),
    ),
    leaf.map(
      (cluster): Step =>
        (cache) =>
          cache.put(CLUSTER, clusterResource(cluster)),
    ),
    fc.tuple(aggregate, leaf, fc.oneof(aggregate, leaf)).map(
      ([cluster, member, other]): Step =>
        (cache) => {
          if (cluster !== other) cache.put(CLUSTER, { ...aggregateResource(cluster, member), ...fallingBackTo(other) });
        },
    ),
    fc.tuple(leaf, fc.oneof(aggregate, leaf)).map(
      ([cluster, other]): Step =>
        (cache) => {
          if (cluster !== other) cache.put(CLUSTER, clusterResource(cluster, fallingBackTo(other)));
        },
    ),
    fc.tuple(leaf, fc.integer({ min: 1, max: 3 })).map(
      ([cluster, port]): Step =>
        (cache) =>
          cache.put(ENDPOINT, endpointResource(cluster, port)),
    ),
    fc.tuple(fc.constantFrom(CLUSTER, ENDPOINT), leaf, reason).map(
      ([type, lost, why]): Step =>
        (cache) =>
          cache.fail(type, lost, why),
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(change, fc.boolean()), { maxLength: 30 }), async (changes) => {
      const cache = new ScriptedCache();
      cache.put(LISTENER, listenerResource('reviews', 'r'));
      cache.put(ROUTE, routesTo(['a', 'b', 'd']));
      for (const cluster of aggregates) cache.put(CLUSTER, aggregateResource(cluster, ...leaves));
      for (const cluster of leaves) {
        cache.put(CLUSTER, clusterResource(cluster));
        cache.put(ENDPOINT, endpointResource(cluster, 1));
      }
      const [follower, late] = [new RecordingWatcher(), new RecordingWatcher()];
      sourceOn(cache).source.watch('reviews', follower);
      for (const [step, endOfTurn] of changes) {
        step(cache);
        if (endOfTurn) await settle();
      }
      await settle();
      sourceOn(cache).source.watch('reviews', late);
      await settle();
      const shown = ({ last }: RecordingWatcher): unknown =>
        Object.fromEntries(
          [...last.clusters].map(([key, state]) => {
            if (state instanceof Error) return [key, state.message];
            return [key, state.kind === 'leaf' ? state.endpoints.map((endpoint) => endpoint.key) : state.leaves];
          }),
        );
      expect(shown(follower)).toEqual(shown(late));
    }),
    { numRuns: 500 },
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
