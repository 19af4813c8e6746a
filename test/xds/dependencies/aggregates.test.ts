import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ConfigSource } from '../../../src/core/config-source.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import {
  aggregateState,
  followAggregate,
  MAX_AGGREGATE_DEPTH,
  reachable,
  type StateOf,
} from '../../../src/xds/dependencies/aggregates.js';
import type { AggregateMembers, NodeState } from '../../../src/xds/dependencies/cluster-node.js';
import { aggregateResource } from '../../support/aggregate-resource.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { aCluster } from '../../support/targets.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  endpointResource,
  lbEndpoint,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

const members = (...names: string[]): AggregateMembers => {
  const { endpoints, drops, ...settings } = aCluster('settings', []);
  return { kind: 'members', settings, members: names };
};

describe('the clusters of an aggregate', () => {
  const graph = (aggregates: Record<string, string[]>): StateOf => {
    const states = new Map<string, NodeState>();
    return (name) => {
      let state = states.get(name);
      if (state === undefined) {
        const of = aggregates[name];
        state = of === undefined ? aCluster(name, []) : members(...of);
        states.set(name, state);
      }
      return state;
    };
  };
  const leavesOf = (stateOf: StateOf, root = 'root') => {
    const state = aggregateState(followAggregate(root, stateOf(root) as AggregateMembers, stateOf), new Map());
    return state instanceof Error ? state.message : state.leaves;
  };

  test('are its leaves, depth first', () => {
    expect(leavesOf(graph({ root: ['b', 'c'], c: ['d', 'e'] }))).toEqual(['b', 'd', 'e']);
  });

  test('A37: one that comes twice counts at its first position', () => {
    expect(leavesOf(graph({ root: ['x', 'b', 'y', 'a'], x: ['a', 'b'], y: ['c', 'a'] }))).toEqual(['a', 'b', 'c']);
  });

  test('a loop is the aggregate’s error, and names the way', () => {
    expect(leavesOf(graph({ root: ['a', 'x'], x: ['y'], y: ['x'] }))).toContain('"root" -> "x" -> "y" -> "x"');
    expect(leavesOf(graph({ root: ['root'] }))).toContain('"root" -> "root"');
  });

  test('A37: a tree of 16 layers is the deepest', () => {
    const chain = (layers: number): Record<string, string[]> => {
      const links: Record<string, string[]> = { root: ['n2'] };
      for (let i = 2; i < layers; i++) links[`n${i}`] = [`n${i + 1}`];
      return links;
    };
    expect(leavesOf(graph(chain(MAX_AGGREGATE_DEPTH)))).toEqual(['n16']);
    expect(leavesOf(graph(chain(MAX_AGGREGATE_DEPTH + 1)))).toContain('more than 16 layers');
    // The long way counts, though a short one was found first.
    const both = chain(MAX_AGGREGATE_DEPTH);
    expect(leavesOf(graph({ ...both, root: ['n16', 'n2'], n16: ['leaf'] }))).toContain('more than 16 layers');
  });

  test('many ways to the same clusters cost no more than there are clusters', () => {
    const layers: Record<string, string[]> = { root: ['a2', 'b2'] };
    for (let i = 2; i < 15; i++) {
      const below = [`a${i + 1}`, `b${i + 1}`, `c${i + 1}`, `d${i + 1}`];
      for (const side of 'abcd') layers[`${side}${i}`] = below;
    }
    let asked = 0;
    const stateOf = graph(layers);
    leavesOf((name) => {
      asked++;
      return stateOf(name);
    });
    expect(asked).toBeLessThan(300);
  });

  test('any graph comes to leaves that are none of it twice, or to an error, and the walk that finds its names ends', () => {
    const names = ['root', ...'abcdefgh'];
    const links = fc.array(
      fc.tuple(fc.constantFrom(...names), fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 4 })),
      { maxLength: 6 },
    );
    fc.assert(
      fc.property(links, (list) => {
        const aggregates: Record<string, string[]> = { root: ['a'], ...Object.fromEntries(list) };
        const stateOf = graph(aggregates);
        const found = reachable(['root'], stateOf);
        const leaves = leavesOf(stateOf);
        if (typeof leaves === 'string') {
          expect(leaves).toContain('lead back to itself');
          return;
        }
        expect(new Set(leaves).size).toBe(leaves.length);
        expect(leaves.every((leaf) => aggregates[leaf] === undefined && found.has(leaf))).toBe(true);
        expect([...found].filter((name) => aggregates[name] === undefined).sort()).toEqual([...leaves].sort());
      }),
    );
  });
});

describe('a destination with an aggregate cluster', () => {
  let cache: ScriptedCache;
  let source: ConfigSource;
  let watcher: RecordingWatcher;
  let names: Map<string, readonly string[]>;

  beforeEach(() => {
    cache = new ScriptedCache();
    ({ source, names } = sourceOn(cache));
    watcher = new RecordingWatcher();
    cache.put(LISTENER, listenerResource('reviews', 'r'));
    cache.put(ROUTE, routeResource('r', [toCluster('both')]));
  });

  const aggregate = (name: string, ...clusters: string[]) =>
    cache.put(CLUSTER, {
      ...aggregateResource(name, ...clusters),
      circuit_breakers: { thresholds: [{ max_retries: { value: 7 } }] },
    });
  const eds = (name: string, ...ports: number[]) => {
    cache.put(CLUSTER, clusterResource(name));
    cache.put(ENDPOINT, endpointResource(name, ...ports));
  };
  const both = () => watcher.last.clusters.get('both');

  test('is told when every leaf is known, and shows them beside it', async () => {
    source.watch('reviews', watcher);
    aggregate('both', 'a', 'inner');
    eds('a', 1);
    await settle();
    expect(watcher.events).toEqual([]);
    aggregate('inner', 'b', 'a');
    await settle();
    eds('b', 2);
    await settle();
    expect(watcher.events).toEqual(['config']);
    expect(both()).toMatchObject({ kind: 'aggregate', name: 'both', leaves: ['a', 'b'], maxRetries: 7 });
    expect(Object.isFrozen(both())).toBe(true);
    expect([...watcher.last.clusters.keys()].sort()).toEqual(['a', 'b', 'both']);
  });

  test('has Envoy’s budget of retries under way when the aggregate says one', () => {
    const retry_budget = { budget_percent: { value: 35 } };
    cache.put(CLUSTER, { ...aggregateResource('both', 'a'), circuit_breakers: { thresholds: [{ retry_budget }] } });
    eds('a', 1);
    source.watch('reviews', watcher);
    const activeRetryBudget = { share: 0.35, minConcurrency: 3 };
    expect(both()).toMatchObject({ kind: 'aggregate', maxRetries: undefined, activeRetryBudget });
  });

  test('has leaves of every kind: EDS, static, strict DNS and logical DNS, which is one endpoint', async () => {
    names.set('one.test', ['10.0.0.1', '10.0.0.2']);
    const at = (type: string, name: string, host: string) =>
      cache.put(
        CLUSTER,
        clusterResource(name, { type, load_assignment: { endpoints: [{ lb_endpoints: [lbEndpoint(host, 80)] }] } }),
      );
    aggregate('both', 'e', 's', 'd', 'l');
    eds('e', 1);
    at('STATIC', 's', '10.1.0.1');
    at('STRICT_DNS', 'd', 'one.test');
    at('LOGICAL_DNS', 'l', 'one.test');
    source.watch('reviews', watcher);
    await settle();
    expect(both()).toMatchObject({ leaves: ['e', 's', 'd', 'l'] });
    const keys = [...watcher.last.clusters].map(([name, state]) =>
      state instanceof Error || state.kind !== 'leaf'
        ? name
        : [name, state.endpoints.map(({ addresses }) => addresses.length)],
    );
    expect(Object.fromEntries(keys.filter((key) => typeof key !== 'string'))).toEqual({
      e: [1],
      s: [1],
      d: [1, 1],
      l: [2],
    });
  });

  test('A74: leaves out what does not exist, keeps its error, and takes it in when it comes', async () => {
    aggregate('both', 'a', 'b');
    eds('b', 2);
    cache.fail(CLUSTER, 'a');
    source.watch('reviews', watcher);
    await settle();
    expect(both()).toMatchObject({ leaves: ['b'] });
    expect(watcher.last.clusters.get('a')).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    eds('a', 1);
    await settle();
    expect(both()).toMatchObject({ leaves: ['a', 'b'] });
    cache.fail(CLUSTER, 'b');
    await settle();
    expect(both()).toMatchObject({ leaves: ['a'] });
  });

  test('fails with the names of all when none of them can be used, and so do not its neighbours', async () => {
    cache.put(ROUTE, routeResource('r', [toCluster('both', { prefix: '/both' }), toCluster('other')]));
    aggregate('both', 'a', 'b');
    eds('other', 9);
    cache.fail(CLUSTER, 'a');
    cache.fail(CLUSTER, 'b');
    source.watch('reviews', watcher);
    await settle();
    expect(both()).toMatchObject({ code: 'CONFIG_UNAVAILABLE' });
    expect(String(both())).toMatch(/"both".*"a".*"b"/);
    expect(watcher.last.clusters.get('other')).toMatchObject({ kind: 'leaf' });
    const told = watcher.events.length;
    cache.fail(CLUSTER, 'c');
    await settle();
    expect(watcher.events.length).toBe(told);
  });

  test('lets go of every cluster of it with the last who watches, loops included', async () => {
    aggregate('both', 'a', 'inner');
    aggregate('inner', 'both', 'b');
    eds('a', 1);
    eds('b', 2);
    const stop = source.watch('reviews', watcher);
    await settle();
    expect(String(both())).toContain('lead back to itself');
    expect(cache.watched).toContain('Cluster/b');
    aggregate('inner', 'b');
    await settle();
    expect(both()).toMatchObject({ leaves: ['a', 'b'] });
    stop();
    expect(cache.watched).toEqual([]);
  });

  test('an endpoint change in a leaf changes that leaf alone', async () => {
    aggregate('both', 'a', 'b');
    eds('a', 1);
    eds('b', 2);
    source.watch('reviews', watcher);
    await settle();
    const before = watcher.last;
    eds('b', 3);
    await settle();
    expect(watcher.configs).toHaveLength(2);
    expect(watcher.last.routes).toBe(before.routes);
    expect(both()).toBe(before.clusters.get('both'));
    expect(watcher.last.clusters.get('a')).toBe(before.clusters.get('a'));
    expect(watcher.last.clusters.get('b')).toMatchObject({ endpoints: [{ key: '127.0.0.1:3' }] });
  });
});
