import { beforeEach, describe, expect, test } from 'vitest';
import type { ConfigSource } from '../../../src/core/config-source.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  ads,
  clusterResource,
  connectionManager,
  endpointResource,
  listenerResource,
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

/** Listener `reviews`, routes `r`, clusters `a` …, each with one endpoint. */
function serve(...clusters: string[]): void {
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  routeTo(...clusters);
  for (const name of clusters) bring(name);
}
const routeTo = (...clusters: string[]) =>
  cache.put(
    ROUTE,
    routeResource(
      'r',
      clusters.map((name) => toCluster(name)),
    ),
  );
const bring = (name: string, ...ports: number[]) => {
  cache.put(CLUSTER, clusterResource(name));
  cache.put(ENDPOINT, endpointResource(name, ...(ports.length > 0 ? ports : [1])));
};
const clusterOf = (name: string): ClusterConfig => {
  const state = watcher.last.clusters.get(name);
  if (state === undefined || state instanceof Error || state.kind !== 'leaf')
    throw new Error(`cluster "${name}" is ${String(state)}`);
  return state;
};
const portsOf = (name: string) => clusterOf(name).endpoints.map(({ addresses }) => addresses[0].port);

describe('a destination', () => {
  test('is told at once when all is known already', () => {
    serve('a');
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual(['config']);
    expect(watcher.last).toMatchObject({
      authority: 'reviews',
      routes: [{ action: { kind: 'forward', clusters: [{ name: 'a' }] } }],
    });
    expect(portsOf('a')).toEqual([1]);
    expect(Object.isFrozen(watcher.last)).toBe(true);
  });

  test('is told nothing until the last resource is there, whatever their order', async () => {
    source.watch('reviews', watcher);
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo('a', 'b');
    await settle();
    bring('a');
    cache.put(CLUSTER, clusterResource('b'));
    await settle();
    expect(watcher.events).toEqual([]);
    cache.put(ENDPOINT, endpointResource('b', 7));
    await settle();
    expect(watcher.events).toEqual(['config']);
    expect([...watcher.last.clusters.keys()]).toEqual(['a', 'b']);
  });

  test('asks for the EDS service name that its cluster gives', () => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    routeTo('a');
    cache.put(CLUSTER, clusterResource('a', { eds_cluster_config: { eds_config: ads, service_name: 's' } }));
    source.watch('reviews', watcher);
    expect(cache.watched).toEqual(['Cluster/a', 'ClusterLoadAssignment/s', 'Listener/reviews', 'RouteConfiguration/r']);
  });

  test('may have its routes in the listener', () => {
    const inline = connectionManager({
      route_config: { virtual_hosts: [{ domains: ['*'], routes: [toCluster('a')] }] },
    });
    cache.put(LISTENER, { name: 'reviews', api_listener: { api_listener: inline } });
    bring('a');
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual(['config']);
    expect(cache.watched).not.toContain('RouteConfiguration/r');
  });

  test('sees several changes of one turn as one configuration', async () => {
    serve('a');
    source.watch('reviews', watcher);
    bring('a', 2);
    bring('b', 3);
    routeTo('a', 'b');
    bring('a', 4);
    await settle();
    expect(watcher.configs).toHaveLength(2);
    expect([portsOf('a'), portsOf('b')]).toEqual([[4], [3]]);
  });

  test('is not told of what does not change anything', async () => {
    serve('a');
    source.watch('reviews', watcher);
    serve('a');
    cache.put(CLUSTER, clusterResource('unrelated'));
    await settle();
    expect(watcher.events).toEqual(['config']);
  });

  test('takes the virtual host of its authority, and fails without one', async () => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    cache.put(ROUTE, { name: 'r', virtual_hosts: [{ domains: ['ratings'], routes: [] }] });
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual([
      'failed: destination "reviews": no virtual host of route configuration "r" has it among its domains',
    ]);
    cache.put(ROUTE, { name: 'r', virtual_hosts: [{ domains: ['Reviews'], routes: [] }] });
    await settle();
    expect(watcher.events.at(-1)).toBe('config');
  });

  test('gives the listener’s max_stream_duration to routes that have none (A31)', () => {
    cache.put(
      LISTENER,
      listenerResource('reviews', 'r', { common_http_protocol_options: { max_stream_duration: { seconds: 3 } } }),
    );
    const own = toCluster('a', { prefix: '/own' }, { max_stream_duration: { max_stream_duration: {} } });
    cache.put(ROUTE, routeResource('r', [own, toCluster('a')]));
    bring('a');
    source.watch('reviews', watcher);
    const caps = watcher.last.routes.map(({ action }) => action.kind === 'forward' && action.maxStreamDurationMs);
    expect(caps).toEqual([0, 3_000]);
  });
});

describe('warming', () => {
  test('the old routes serve until every cluster of the new ones is known, and follow their endpoints meanwhile', async () => {
    serve('a');
    source.watch('reviews', watcher);
    routeTo('b', 'c');
    bring('b');
    await settle();
    expect(watcher.configs).toHaveLength(1);
    cache.put(ENDPOINT, endpointResource('a', 5));
    await settle();
    expect([[...watcher.last.clusters.keys()], portsOf('a')]).toEqual([['a'], [5]]);
    bring('c');
    await settle();
    expect([...watcher.last.clusters.keys()]).toEqual(['b', 'c']);
  });

  test('what is no longer mentioned is no longer watched', async () => {
    serve('a', 'b');
    source.watch('reviews', watcher);
    routeTo('b');
    await settle();
    expect(cache.watched).toEqual(['Cluster/b', 'ClusterLoadAssignment/b', 'Listener/reviews', 'RouteConfiguration/r']);
  });

  test('routes given up while they warm leave no watch behind', async () => {
    serve('a');
    source.watch('reviews', watcher);
    routeTo('b');
    await settle();
    expect(cache.watched).toContain('Cluster/b');
    routeTo('a');
    await settle();
    expect(cache.watched).not.toContain('Cluster/b');
    expect(watcher.configs).toHaveLength(1);
  });

  test('a cluster that is to find its endpoints elsewhere keeps those it has until it does', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.put(CLUSTER, clusterResource('a', { eds_cluster_config: { eds_config: ads, service_name: 's' } }));
    await settle();
    expect(watcher.configs).toHaveLength(1);
    cache.fail(ENDPOINT, 's');
    await settle();
    expect(watcher.events).toEqual([
      'config',
      'ambient: destination "reviews": last configuration stands: cluster "a": its ClusterLoadAssignment "s" cannot be used: s does-not-exist',
    ]);
    cache.put(ENDPOINT, endpointResource('s', 9));
    await settle();
    expect(portsOf('a')).toEqual([9]);
  });

  test.each(['does-not-exist', 'invalid'] as const)(
    'A74: routes of a new name that cannot be had (%s) fail the destination, until they can or the listener is sent back',
    async (reason) => {
      serve('a');
      source.watch('reviews', watcher);
      cache.put(LISTENER, listenerResource('reviews', 'r2'));
      await settle();
      bring('a', 6);
      await settle();
      // Awaited: the old ones serve, and follow their clusters.
      expect(watcher.events).toEqual(['config', 'config']);
      cache.fail(ROUTE, 'r2', reason);
      await settle();
      expect(watcher.events.slice(2)).toEqual([
        `failed: destination "reviews": route configuration "r2" cannot be used (${reason}): r2 ${reason}`,
      ]);
      cache.put(ROUTE, routeResource('r2', [toCluster('b')]));
      bring('b');
      await settle();
      expect([...watcher.last.clusters.keys()]).toEqual(['b']);
      cache.put(LISTENER, listenerResource('reviews', 'r3'));
      cache.fail(ROUTE, 'r3', reason);
      await settle();
      expect(watcher.events.at(-1)).toMatch(/^failed: .*"r3"/);
      cache.put(LISTENER, listenerResource('reviews', 'r'));
      await settle();
      expect([...watcher.last.clusters.keys()]).toEqual(['a']);
    },
  );

  test('A74: routes of a new name whose server is out of reach leave the old ones serving, with a word of it', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.put(LISTENER, listenerResource('reviews', 'r2'));
    cache.fail(ROUTE, 'r2', 'unreachable');
    await settle();
    bring('a', 6);
    await settle();
    expect(watcher.events).toEqual([
      'config',
      'ambient: destination "reviews": last configuration stands: r2 unreachable',
      'config',
    ]);
    expect(portsOf('a')).toEqual([6]);
    cache.fail(ROUTE, 'r2');
    await settle();
    expect(watcher.events.at(-1)).toMatch(/^failed: .*"r2".*does-not-exist/);
    cache.put(ROUTE, routeResource('r2', [toCluster('b')]));
    bring('b');
    await settle();
    expect([...watcher.last.clusters.keys()]).toEqual(['b']);
  });
});

describe('trouble', () => {
  test('a listener that does not exist is an unknown destination, told once', async () => {
    cache.fail(LISTENER, 'reviews');
    source.watch('reviews', watcher);
    cache.fail(LISTENER, 'reviews');
    await settle();
    expect(watcher.events).toEqual(['unknown']);
  });

  test('a listener that cannot be had is a failure', () => {
    cache.fail(LISTENER, 'reviews', 'unreachable');
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual([
      'failed: destination "reviews": listener "reviews" cannot be used (unreachable): reviews unreachable',
    ]);
  });

  test('a listener that is gone for good takes its configuration with it, and may come back', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.fail(LISTENER, 'reviews');
    await settle();
    expect(cache.watched).toEqual(['Listener/reviews']);
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    await settle();
    expect(watcher.events).toEqual(['config', 'unknown', 'config']);
  });

  test('routes that are gone for good fail the destination, and may come back', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.fail(ROUTE, 'r');
    await settle();
    expect(watcher.events.at(-1)).toBe(
      'failed: destination "reviews": route configuration "r" cannot be used (does-not-exist): r does-not-exist',
    );
    routeTo('a');
    await settle();
    cache.fail(ROUTE, 'r');
    await settle();
    expect(watcher.events.map((event) => event.split(':')[0])).toEqual(['config', 'failed', 'config', 'failed']);
  });

  test.each<[string, () => void]>([
    ['a cluster that does not exist', () => cache.fail(CLUSTER, 'b')],
    ['a cluster that is invalid', () => cache.fail(CLUSTER, 'b', 'invalid')],
    [
      'endpoints that do not exist',
      () => {
        cache.put(CLUSTER, clusterResource('b'));
        cache.fail(ENDPOINT, 'b');
      },
    ],
  ])('%s is that cluster’s alone', async (_, breakIt) => {
    serve('a');
    routeTo('a', 'b');
    breakIt();
    source.watch('reviews', watcher);
    expect(portsOf('a')).toEqual([1]);
    expect(watcher.last.clusters.get('b')).toMatchObject({
      code: 'CONFIG_UNAVAILABLE',
      message: expect.stringContaining('cluster "b": its '),
    });
    bring('b', 2);
    await settle();
    expect(portsOf('b')).toEqual([2]);
  });

  test('a cluster deleted while it serves becomes trouble, and recovers when it is added again', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.fail(CLUSTER, 'a');
    await settle();
    expect(watcher.last.clusters.get('a')).toBeInstanceOf(Error);
    cache.put(CLUSTER, clusterResource('a'));
    await settle();
    expect(portsOf('a')).toEqual([1]);
  });

  test('trouble with what stands is ambient, whichever resource it is', async () => {
    serve('a');
    source.watch('reviews', watcher);
    cache.ambient(LISTENER, 'reviews', 'one');
    cache.ambient(ROUTE, 'r', 'two');
    cache.ambient(CLUSTER, 'a', 'three');
    cache.ambient(ENDPOINT, 'a', 'four');
    expect(watcher.events.slice(1)).toEqual(
      ['one', 'two', 'three', 'four'].map(
        (text) => `ambient: destination "reviews": last configuration stands: ${text}`,
      ),
    );
  });
});

describe('identity', () => {
  test('what did not change is the same object in the next configuration', async () => {
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    const routes: Resource[] = [toCluster('a', { prefix: '/a' }), toCluster('b')];
    cache.put(ROUTE, routeResource('r', routes));
    bring('a', 1, 2);
    bring('b');
    source.watch('reviews', watcher);
    const before = watcher.last;
    const endpoint = clusterOf('a').endpoints[1];
    bring('a', 2, 3);
    cache.put(ROUTE, routeResource('r', [{ ...routes[0], name: 'renamed' }, routes[1] as Resource]));
    await settle();
    expect(watcher.last).not.toBe(before);
    expect(watcher.last.clusters.get('b')).toBe(before.clusters.get('b'));
    expect(watcher.last.routes[1]).toBe(before.routes[1]);
    expect(watcher.last.routes[0]).not.toBe(before.routes[0]);
    expect(clusterOf('a').endpoints[0]).toBe(endpoint);
  });
});
