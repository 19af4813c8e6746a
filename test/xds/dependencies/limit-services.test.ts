import { expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { settle } from '../../support/fake-clock.js';
import { filterOf, override, typedStruct } from '../../support/route-filters.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routerFilter,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

const asked = (...services: string[]): Resource =>
  typedStruct('inmesh.dev/limits', {
    rules: services.map((service) => ({ name: service, store: { kind: 'rls', service, domain: 'd' } })),
  });

test('no call waits for the cluster of a rate limit service, which is watched as long as a route or one of its clusters asks it', async () => {
  const cache = new ScriptedCache();
  const { source } = sourceOn(cache);
  const watcher = new RecordingWatcher();
  const bring = (name: string): void => {
    cache.put(CLUSTER, clusterResource(name));
    cache.put(ENDPOINT, endpointResource(name, 1));
  };
  const routes = (...says: Resource[]): void => {
    const clusters = says.map((own) => ({ name: 'a', weight: { value: 1 }, ...own }));
    cache.put(ROUTE, routeResource('r', [{ ...toCluster('a'), route: { weighted_clusters: { clusters } } }]));
  };
  const known = (): string[] => [...watcher.last.clusters.keys()];

  const filters = [filterOf('l', asked('limits')), routerFilter];
  cache.put(LISTENER, listenerResource('reviews', 'r', { http_filters: filters }));
  routes({}, override(['l', asked('other')]));
  bring('a');
  source.watch('reviews', watcher);
  expect(watcher.events).toEqual(['config']);
  expect(known()).toEqual(['a']);
  bring('limits');
  bring('other');
  await settle();
  expect(known()).toEqual(['a', 'limits', 'other']);
  routes({});
  await settle();
  expect(known()).toEqual(['a', 'limits']);
  expect(cache.watched.filter((name) => name.endsWith('/other'))).toEqual([]);
});
