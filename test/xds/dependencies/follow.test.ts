import { beforeEach, describe, expect, test } from 'vitest';
import { changedKeys, LayeredMap } from '../../../src/core/layered-map.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { CLUSTERS_AT_ONCE, type ClusterState } from '../../../src/xds/dependencies/target-clusters.js';
import type { XdsConfigSource } from '../../../src/xds/source.js';
import { aggregateResource } from '../../support/aggregate-resource.js';
import { type FakeClock, settle } from '../../support/fake-clock.js';
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
let clock: FakeClock;

beforeEach(() => {
  cache = new ScriptedCache();
  const on = sourceOn(cache);
  source = on.source as XdsConfigSource;
  clock = on.clock;
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
  const names = Array.from({ length: 80 }, (_, i) => `c${i}`);

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
    expect(watcher.last.routes).toHaveLength(80);
    expect(watcher.last.clusters.get('c7')).toMatchObject({ endpoints: [{ key: '127.0.0.1:5' }] });
    bring('new', 6);
    await settle();
    expect(watcher.last.routes).toHaveLength(81);
    expect(watcher.last.clusters.get('c7')).toMatchObject({ endpoints: [{ key: '127.0.0.1:5' }] });
  });
});

describe('a cluster that goes into trouble, and out of it', () => {
  const last = (): LayeredMap<string, ClusterState> => {
    const { clusters } = watcher.last;
    return clusters instanceof LayeredMap ? clusters : expect.fail('not layered');
  };
  const leavesOf = (name: string): readonly string[] => {
    const state = last().get(name);
    return state === undefined || state instanceof Error || state.kind === 'leaf' ? [String(state)] : state.leaves;
  };
  /** Changed between the last two, found without a look at the rest: undefined when all was collected again. */
  const changed = (): string[] | undefined => {
    const before = watcher.configs.at(-2)?.clusters as LayeredMap<string, ClusterState>;
    return last().changedSince(before)?.sort();
  };

  beforeEach(async () => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo('own', 'other', 'top', 'beside');
    cache.put(CLUSTER, aggregateResource('top', 'a', 'inner'));
    cache.put(CLUSTER, aggregateResource('inner', 'b', 'c'));
    cache.put(CLUSTER, aggregateResource('beside', 'd'));
    for (const name of ['own', 'other', 'a', 'b', 'c', 'd']) bring(name, 1);
    source.watch('reviews', watcher);
    await settle();
  });

  test('is another entry, and nothing else', async () => {
    cache.fail(ENDPOINT, 'own');
    await settle();
    expect([last().get('own'), changed()]).toEqual([expect.any(Error), ['own']]);
    bring('own', 2);
    await settle();
    expect([last().get('own'), changed()]).toEqual([expect.objectContaining({ kind: 'leaf' }), ['own']]);
  });

  test('leaves the aggregates that it is in, and comes back to its place; nothing is walked again', async () => {
    cache.fail(CLUSTER, 'b');
    await settle();
    expect([leavesOf('top'), changed()]).toEqual([
      ['a', 'c'],
      ['b', 'top'],
    ]);
    cache.put(CLUSTER, clusterResource('b'));
    await settle();
    expect([leavesOf('top'), changed()]).toEqual([
      ['a', 'b', 'c'],
      ['b', 'top'],
    ]);
  });

  test('is the aggregate’s trouble when it was the last leaf, which says what has become of it', async () => {
    cache.fail(ENDPOINT, 'd');
    await settle();
    expect([leavesOf('beside')[0], changed()]).toEqual([expect.stringContaining('d does-not-exist'), ['beside', 'd']]);
    cache.fail(ENDPOINT, 'd', 'unreachable');
    await settle();
    expect([leavesOf('beside')[0], changed()]).toEqual([expect.stringContaining('d unreachable'), ['beside', 'd']]);
    bring('d', 2);
    await settle();
    expect([leavesOf('beside'), changed()]).toEqual([['d'], ['beside', 'd']]);
  });

  test('is told of once while it lasts', async () => {
    cache.fail(ENDPOINT, 'own');
    await settle();
    const told = watcher.events.length;
    cache.fail(ENDPOINT, 'own');
    await settle();
    expect(watcher.events).toHaveLength(told);
  });

  test('that was an aggregate takes its leaves with it', async () => {
    for (const name of ['inner', 'top']) {
      cache.fail(CLUSTER, name);
      await settle();
    }
    expect(leavesOf('top')).toEqual([expect.stringContaining('top does-not-exist')]);
    expect([...last().keys()].sort()).toEqual(['beside', 'd', 'other', 'own', 'top']);
    expect(cache.watched).not.toContain('Cluster/a');
  });
});

describe('a target of many clusters, all of them known', () => {
  const count = 3 * CLUSTERS_AT_ONCE + 1;
  const names = Array.from({ length: count }, (_, i) => `c${i}`);
  const held = (): number => cache.watched.filter((name) => name.startsWith('Cluster/')).length;

  beforeEach(() => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo(...names);
    for (const name of names) bring(name, 1);
  });

  test('is taken up in parts, with the event loop’s turns between them, and told of once', async () => {
    const stop = source.watch('reviews', watcher);
    expect(held()).toBe(CLUSTERS_AT_ONCE);
    await settle();
    expect(held()).toBe(CLUSTERS_AT_ONCE);
    expect(watcher.events).toEqual([]);
    await clock.advance(0);
    expect(watcher.events).toEqual(['config']);
    expect(watcher.last.clusters.size).toBe(count);
    stop();
    expect(cache.watched).toEqual([]);
  });

  test('changes meanwhile are in it, and what served before goes on to serve', async () => {
    routeTo('c0');
    source.watch('reviews', watcher);
    await settle();
    routeTo(...names);
    await settle();
    bring('c0', 5);
    bring(`c${count - 1}`, 6);
    await settle();
    expect(watcher.last.routes).toHaveLength(1);
    expect(watcher.last.clusters.get('c0')).toMatchObject({ endpoints: [{ key: '127.0.0.1:5' }] });
    await clock.advance(10);
    expect(watcher.last.clusters.size).toBe(count);
    expect(watcher.last.clusters.get(`c${count - 1}`)).toMatchObject({ endpoints: [{ key: '127.0.0.1:6' }] });
  });

  test('leaves nothing behind when it is no longer wanted half-way', async () => {
    source.watch('reviews', watcher)();
    expect(clock.pending).toBe(0);
    expect(cache.watched).toEqual([]);
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
