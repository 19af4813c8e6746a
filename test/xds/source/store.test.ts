import { beforeEach, describe, expect, test } from 'vitest';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type ResourceType,
  type ResourceWatcher,
  ROUTE,
} from '../../../src/core/resources.js';
import { ResourceStore } from '../../../src/xds/resource-store.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  resourceSet,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

let store: ResourceStore;
let events: string[];
let values: unknown[];

beforeEach(() => {
  store = new ResourceStore();
  events = [];
  values = [];
});

function watch(type: ResourceType, name: string): () => void {
  const label = `${type.slice(type.lastIndexOf('.') + 1)}/${name}`;
  const watcher: ResourceWatcher = {
    changed: (value) => {
      values.push(value);
      events.push(`${label} changed`);
    },
    failed: (error, reason) => events.push(`${label} ${reason}: ${error.message}`),
    ambient: (error) => events.push(`${label} ambient: ${error.message}`),
  };
  return store.watch(type, name, watcher);
}

const good = clusterResource('a');
const bad = clusterResource('a', { lb_policy: 'CLUSTER_PROVIDED' });
const problem =
  'lb_policy: must be ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV when load_balancing_policy is not set, got CLUSTER_PROVIDED';

describe('before the first update', () => {
  test('nothing is known, not even that something is missing', () => {
    watch(CLUSTER, 'a');
    watch(CLUSTER, 'b');
    expect(events).toEqual([]);
    store.update(resourceSet({ cds: [good] }));
    expect(events).toEqual(['Cluster/a changed', 'Cluster/b does-not-exist: Cluster "b" does not exist']);
  });
});

describe('after it', () => {
  test('a watcher is told at once', () => {
    store.update(resourceSet({ cds: [good] }));
    watch(CLUSTER, 'a');
    watch(ROUTE, 'a');
    expect(events).toEqual([
      'Cluster/a changed',
      'RouteConfiguration/a does-not-exist: RouteConfiguration "a" does not exist',
    ]);
  });

  test('only what changed is told, and what did not keeps its object', () => {
    const set = () => resourceSet({ cds: [clusterResource('a')], eds: [endpointResource('a', 1)] });
    store.update(set());
    watch(CLUSTER, 'a');
    watch(ENDPOINT, 'a');
    const before = values[0];
    store.update({ ...set(), [ENDPOINT]: new Map([['a', endpointResource('a', 2)]]) });
    expect(events).toEqual(['Cluster/a changed', 'ClusterLoadAssignment/a changed', 'ClusterLoadAssignment/a changed']);
    watch(CLUSTER, 'a');
    expect(values.at(-1)).toBe(before);
  });

  test('clusters and endpoints are told before what leads to them, and what is gone afterwards, the other way round', () => {
    const set = (name: string) =>
      resourceSet({
        cds: [clusterResource(name)],
        eds: [endpointResource(name, 1)],
        lds: [listenerResource(name, name)],
        rds: [routeResource(name, [toCluster(name)])],
      });
    store.update(set('old'));
    const types = [ROUTE, LISTENER, ENDPOINT, CLUSTER] as const;
    for (const type of types) for (const name of ['new', 'old']) watch(type, name);
    events.length = 0;
    store.update(set('new'));
    expect(events.map((event) => event.split(':')[0])).toEqual([
      'Cluster/new changed',
      'ClusterLoadAssignment/new changed',
      'Listener/new changed',
      'RouteConfiguration/new changed',
      'RouteConfiguration/old does-not-exist',
      'Listener/old does-not-exist',
      'ClusterLoadAssignment/old does-not-exist',
      'Cluster/old does-not-exist',
    ]);
  });

  test('who begins to watch while others are told sees the new state only', () => {
    store.update(resourceSet({ cds: [good], eds: [endpointResource('a', 1)] }));
    const seen: unknown[] = [];
    let first = true;
    store.watch(CLUSTER, 'a', {
      changed: () => {
        if (!first)
          store.watch(ENDPOINT, 'a', { changed: (value) => seen.push(value), failed: () => {}, ambient: () => {} });
        first = false;
      },
      failed: () => {},
      ambient: () => {},
    });
    store.update(resourceSet({ cds: [clusterResource('a', { alt_stat_name: 's' })], eds: [endpointResource('a', 2)] }));
    expect(seen[0]).toMatchObject({ endpoints: [{ key: '127.0.0.1:2' }] });
  });

  test('who stopped watching is not told', () => {
    store.update(resourceSet({ cds: [good] }));
    const stop = watch(CLUSTER, 'a');
    stop();
    stop();
    store.update(resourceSet({}));
    expect(events).toEqual(['Cluster/a changed']);
    expect(store.watched).toBe(0);
  });
});

describe('a refused resource', () => {
  test('is reported, and fails its watchers when there was none before', () => {
    const refusals = store.update(resourceSet({ cds: [bad] }));
    expect(refusals.map(({ type, name, error }) => [type, name, error.message])).toEqual([[CLUSTER, 'a', problem]]);
    watch(CLUSTER, 'a');
    expect(events).toEqual([`Cluster/a invalid: ${problem}`]);
  });

  test('leaves the last good one in its place', () => {
    store.update(resourceSet({ cds: [good] }));
    watch(CLUSTER, 'a');
    store.update(resourceSet({ cds: [bad] }));
    expect(events).toEqual(['Cluster/a changed', 'Cluster/a changed', `Cluster/a ambient: ${problem}`]);
    expect(values[1]).toBe(values[0]);
  });

  test('does not keep the good ones of the same update from being used', () => {
    const refusals = store.update(resourceSet({ cds: [bad, clusterResource('b')] }));
    expect(refusals).toHaveLength(1);
    watch(CLUSTER, 'b');
    expect(events).toEqual(['Cluster/b changed']);
  });

  test('is reported again as long as it is there, and told once', () => {
    store.update(resourceSet({ cds: [good] }));
    watch(CLUSTER, 'a');
    store.update(resourceSet({ cds: [bad] }));
    expect(store.update(resourceSet({ cds: [{ ...bad }] }))).toHaveLength(1);
    expect(events).toHaveLength(3);
    expect(store.update(resourceSet({ cds: [good] }))).toEqual([]);
    expect(events.at(-1)).toBe('Cluster/a changed');
  });

  test('that is removed does not exist, and may come back', () => {
    store.update(resourceSet({ cds: [bad] }));
    watch(CLUSTER, 'a');
    store.update(resourceSet({}));
    store.update(resourceSet({ cds: [good] }));
    expect(events.slice(1)).toEqual(['Cluster/a does-not-exist: Cluster "a" does not exist', 'Cluster/a changed']);
  });

  test('whose name is not the one it is filed under is refused', () => {
    const refusals = store.update({ ...resourceSet({}), [CLUSTER]: new Map([['b', good]]) });
    expect(refusals[0]?.error.message).toBe('name: must be the name of the resource, "b", got "a"');
  });
});
