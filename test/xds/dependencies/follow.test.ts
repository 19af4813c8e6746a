import { beforeEach, describe, expect, test } from 'vitest';
import { changedKeys } from '../../../src/core/layered-map.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import type { XdsConfigSource } from '../../../src/xds/source.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  connectionManager,
  endpointResource,
  listenerResource,
  routeResource,
  routerFilter,
  toCluster,
} from '../../support/xds-resources.js';

let cache: ScriptedCache;
let source: XdsConfigSource;
let watcher: RecordingWatcher;

beforeEach(() => {
  cache = new ScriptedCache();
  source = sourceOn(cache).source as XdsConfigSource;
  watcher = new RecordingWatcher();
});

const bring = (name: string, ...ports: number[]) => {
  cache.put(CLUSTER, clusterResource(name));
  cache.put(ENDPOINT, endpointResource(name, ...ports));
};
const routeTo = (...clusters: string[]) =>
  cache.put(
    ROUTE,
    routeResource(
      'r',
      clusters.map((name) => toCluster(name, { prefix: `/${name}` })),
    ),
  );

describe('a change of endpoints', () => {
  const names = Array.from({ length: 200 }, (_, i) => `c${i}`);

  beforeEach(() => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo(...names);
    for (const name of names) bring(name, 1);
  });

  test('is a new configuration with the same routes, in which all but that cluster are the same objects', async () => {
    source.watch('reviews', watcher);
    for (let port = 2; port < 80; port++) {
      const before = watcher.last;
      bring('c7', port);
      await settle();
      expect(watcher.last).not.toBe(before);
      expect(watcher.last.routes).toBe(before.routes);
      expect(changedKeys(before.clusters, watcher.last.clusters)).toEqual(['c7']);
      expect(watcher.last.clusters.get('c7')).toMatchObject({ endpoints: [{ key: `127.0.0.1:${port}` }] });
      // Who has the one before still sees it as it was.
      expect(before.clusters.get('c7')).toMatchObject({ endpoints: [{ key: `127.0.0.1:${port - 1}` }] });
    }
    expect([...watcher.last.clusters.keys()]).toEqual(names);
  });

  test('goes on to be followed while new routes wait for their clusters', async () => {
    source.watch('reviews', watcher);
    routeTo(...names, 'new');
    await settle();
    bring('c7', 5);
    await settle();
    expect(watcher.last.routes).toHaveLength(200);
    expect(watcher.last.clusters.get('c7')).toMatchObject({ endpoints: [{ key: '127.0.0.1:5' }] });
    bring('new', 6);
    await settle();
    expect(watcher.last.routes).toHaveLength(201);
    expect(watcher.last.clusters.get('c7')).toMatchObject({ endpoints: [{ key: '127.0.0.1:5' }] });
  });
});

describe('a listener of a server', () => {
  test('A74: is an error for a client, told clearly, until there is one for clients', async () => {
    source.watch('reviews', watcher);
    cache.put(LISTENER, {
      name: 'reviews',
      address: { socket_address: { address: '127.0.0.1', port_value: 8080 } },
      filter_chains: [
        {
          filters: [
            {
              name: 'hcm',
              typed_config: connectionManager({
                http_filters: [routerFilter],
                route_config: { name: 'own', virtual_hosts: [] },
              }),
            },
          ],
        },
      ],
    });
    await settle();
    expect(watcher.events).toEqual([expect.stringMatching(/^failed: .*"reviews".*listener of a server/)]);
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo('a');
    bring('a', 1);
    await settle();
    expect(watcher.events.at(-1)).toBe('config');
  });
});

describe('a cluster that somebody holds', () => {
  beforeEach(async () => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo('a', 'b');
    bring('a', 1);
    bring('b', 2);
    source.watch('reviews', watcher);
    await settle();
  });

  test('A74: stays in the configuration though no route names it, and is followed, until it is let go', async () => {
    const first = source.holdCluster('reviews', 'b');
    const second = source.holdCluster('reviews', 'b');
    routeTo('a');
    await settle();
    expect(watcher.last.routes).toHaveLength(1);
    bring('b', 3);
    await settle();
    expect(watcher.last.clusters.get('b')).toMatchObject({ endpoints: [{ key: '127.0.0.1:3' }] });
    first();
    first();
    await settle();
    expect(watcher.last.clusters.has('b')).toBe(true);
    second();
    await settle();
    expect([...watcher.last.clusters.keys()]).toEqual(['a']);
    expect(cache.watched).not.toContain('Cluster/b');
  });

  test('may be one that no route ever named, and keeps no routes waiting', async () => {
    const release = source.holdCluster('reviews', 'dynamic');
    routeTo('a');
    await settle();
    expect([...watcher.last.clusters.keys()]).toEqual(['a']);
    bring('dynamic', 4);
    await settle();
    expect([...watcher.last.clusters.keys()]).toEqual(['a', 'dynamic']);
    release();
    await settle();
    expect(cache.watched).not.toContain('Cluster/dynamic');
  });

  test('of an authority that nobody watches is nothing to hold', () => {
    expect(() => source.holdCluster('nobody', 'x')()).not.toThrow();
    expect(cache.watched).not.toContain('Cluster/x');
  });
});
