import { beforeEach, describe, expect, test } from 'vitest';
import { struct } from '../../../src/controlplane/compile/proto.js';
import type { ConfigSource } from '../../../src/core/config-source.js';
import { TroubledCluster } from '../../../src/core/model/troubled-cluster.js';
import { MeshError } from '../../../src/core/errors.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { aggregateResource } from '../../support/aggregate-resource.js';
import { settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
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
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  cache.put(ROUTE, routeResource('r', [toCluster('a')]));
});

const fallingBack = (...clusters: string[]): Resource => ({
  metadata: {
    filter_metadata: { 'inmesh.dev': struct({ fallback: clusters.map((cluster) => ({ service: { cluster } })) }) },
  },
});
const bring = (name: string, fields: Resource = {}) => {
  cache.put(CLUSTER, clusterResource(name, fields));
  cache.put(ENDPOINT, endpointResource(name, 1));
};
const known = () => [...watcher.last.clusters.keys()];
const watched = (name: string) => cache.watched.some((key) => key.endsWith(`/${name}`));

describe('a cluster that calls fall back to', () => {
  test('is watched, and nobody waits for it', async () => {
    bring('a', fallingBack('b'));
    source.watch('reviews', watcher);
    expect(known()).toEqual(['a']);
    expect(watched('b')).toBe(true);
    bring('b');
    await settle();
    expect(known()).toEqual(['a', 'b']);
  });

  test('is there at once when it is known already', () => {
    bring('a', fallingBack('b'));
    bring('b');
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual(['config']);
    expect(known()).toEqual(['a', 'b']);
  });

  test('stands in for one whose endpoints cannot be used, and changes with it', async () => {
    bring('a', fallingBack('b'));
    for (const name of ['b', 'c']) bring(name);
    source.watch('reviews', watcher);
    cache.fail(ENDPOINT, 'a');
    await settle();
    const fallback = (): unknown => (watcher.last.clusters.get('a') as TroubledCluster).fallback;
    expect(watcher.last.clusters.get('a')).toBeInstanceOf(TroubledCluster);
    expect(fallback()).toEqual([{ kind: 'service', cluster: 'b' }]);
    expect(known()).toEqual(['a', 'b']);
    cache.put(CLUSTER, clusterResource('a', fallingBack('c')));
    await settle();
    expect(fallback()).toEqual([{ kind: 'service', cluster: 'c' }]);
    expect(known()).toEqual(['a', 'c']);
  });

  test('stands in for an aggregate of which no cluster can be used', async () => {
    cache.put(CLUSTER, { ...aggregateResource('a', 'l'), ...fallingBack('b') });
    bring('b');
    source.watch('reviews', watcher);
    cache.fail(CLUSTER, 'l');
    await settle();
    expect(watcher.last.clusters.get('a')).toMatchObject({ fallback: [{ kind: 'service', cluster: 'b' }] });
    expect(watcher.last.clusters.get('a')).toBeInstanceOf(TroubledCluster);
  });

  test('is found when the cluster before it comes late', async () => {
    bring('b');
    source.watch('reviews', watcher);
    expect(watched('b')).toBe(false);
    bring('a', fallingBack('b'));
    await settle();
    expect(known()).toEqual(['a', 'b']);
  });

  test('is an error of its own when there is none', async () => {
    bring('a', fallingBack('b'));
    source.watch('reviews', watcher);
    cache.fail(CLUSTER, 'b');
    await settle();
    expect(watcher.last.clusters.get('b')).toBeInstanceOf(MeshError);
    expect(watcher.last.clusters.get('a')).toMatchObject({ kind: 'leaf' });
  });

  test('is let go when nobody falls back to it any more, and another one taken up', async () => {
    bring('a', fallingBack('b'));
    for (const name of ['b', 'c']) bring(name);
    source.watch('reviews', watcher);
    bring('a', fallingBack('c'));
    await settle();
    expect(known()).toEqual(['a', 'c']);
    expect(watched('b')).toBe(false);
    bring('a');
    await settle();
    expect(known()).toEqual(['a']);
    expect(watched('c')).toBe(false);
  });

  test('has no fallback of its own', async () => {
    bring('a', fallingBack('b'));
    bring('b', fallingBack('c'));
    bring('c');
    source.watch('reviews', watcher);
    await settle();
    expect(known()).toEqual(['a', 'b']);
    expect(watched('c')).toBe(false);
  });

  test('may be the one of another, and that the one of it', () => {
    cache.put(ROUTE, routeResource('r', [toCluster('a', { prefix: '/a' }), toCluster('b')]));
    bring('a', fallingBack('b'));
    bring('b', fallingBack('a'));
    source.watch('reviews', watcher);
    expect(known()).toEqual(['a', 'b']);
  });

  test('may be an aggregate, and an aggregate has one of its own', () => {
    cache.put(CLUSTER, { ...aggregateResource('a', 'l'), ...fallingBack('b') });
    cache.put(CLUSTER, aggregateResource('b', 'm'));
    for (const name of ['l', 'm']) bring(name);
    source.watch('reviews', watcher);
    expect(known().sort()).toEqual(['a', 'b', 'l', 'm']);
    expect(watcher.last.clusters.get('a')).toMatchObject({
      kind: 'aggregate',
      fallback: [{ kind: 'service', cluster: 'b' }],
    });
  });
});
