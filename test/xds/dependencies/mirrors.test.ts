import { beforeEach, expect, test } from 'vitest';
import type { ConfigSource } from '../../../src/core/config-source.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  lbEndpoint,
  locality,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

let cache: ScriptedCache;
let source: ConfigSource;
let watcher: RecordingWatcher;

beforeEach(() => {
  cache = new ScriptedCache();
  ({ source } = sourceOn(cache));
  watcher = new RecordingWatcher();
});

const mirrored = (...clusters: string[]): Resource => ({
  request_mirror_policies: clusters.map((cluster) => ({ cluster })),
});
const routes = (action: Resource) => cache.put(ROUTE, routeResource('r', [toCluster('a', undefined, action)]));
const bring = (name: string) => {
  cache.put(CLUSTER, clusterResource(name));
  cache.put(ENDPOINT, endpointResource(name, 1));
};
const known = () => [...watcher.last.clusters.keys()];

test('no call waits for the cluster that gets its copy, which comes when it comes', async () => {
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  routes(mirrored('m'));
  bring('a');
  source.watch('reviews', watcher);
  expect(watcher.events).toEqual(['config']);
  expect(known()).toEqual(['a']);
  bring('m');
  await settle();
  expect(known()).toEqual(['a', 'm']);
});

test('the cluster that gets copies is watched as long as it gets some', async () => {
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  routes(mirrored('m', 'n'));
  for (const name of ['a', 'm', 'n']) bring(name);
  source.watch('reviews', watcher);
  expect(known()).toEqual(['a', 'm', 'n']);
  routes(mirrored('n'));
  await settle();
  expect(known()).toEqual(['a', 'n']);
  expect(cache.watched.filter((name) => name.endsWith('/m'))).toEqual([]);
});

test('what an assignment says of priorities is its cluster’s', () => {
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  routes({});
  cache.put(CLUSTER, clusterResource('a'));
  cache.put(ENDPOINT, {
    cluster_name: 'a',
    endpoints: [locality([lbEndpoint('127.0.0.1', 1)])],
    policy: { overprovisioning_factor: { value: 200 } },
  });
  source.watch('reviews', watcher);
  expect(watcher.last.clusters.get('a')).toMatchObject({ priorities: { overprovisioningFactor: 2 } });
});
