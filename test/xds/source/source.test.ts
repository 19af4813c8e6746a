import { expect, test, vi } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { xdsConfigSource } from '../../../src/xds/source.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

function setUp() {
  const cache = new ScriptedCache();
  for (const name of ['reviews', 'reviews:80']) cache.put(LISTENER, listenerResource(`listener/${name}`, 'r'));
  cache.put(ROUTE, routeResource('r', [toCluster('a')]));
  cache.put(CLUSTER, clusterResource('a'));
  cache.put(ENDPOINT, endpointResource('a', 1));
  const close = vi.fn(async () => {});
  const error = vi.fn();
  const source = xdsConfigSource({
    cache,
    listenerName: (authority) => `listener/${authority}`,
    dns: { resolve: async () => [], clock: new FakeClock(), random: seededRandom(1), logger: silentLogger },
    logger: { ...silentLogger, error },
    ready: async () => {},
    close,
  });
  return { cache, source, close, error };
}

test('the listener’s name is made from the authority', () => {
  const { cache, source } = setUp();
  source.watch('reviews', new RecordingWatcher());
  expect(cache.watched).toContain('Listener/listener/reviews');
});

test('watchers of one authority see the same configuration, and authorities that share a cluster the same cluster', () => {
  const { source } = setUp();
  const watchers = [new RecordingWatcher(), new RecordingWatcher(), new RecordingWatcher()] as const;
  source.watch('reviews', watchers[0]);
  source.watch('reviews', watchers[1]);
  source.watch('reviews:80', watchers[2]);
  expect(watchers[1].last).toBe(watchers[0].last);
  expect(watchers[2].last.clusters.get('a')).toBe(watchers[0].last.clusters.get('a'));
});

test('the last watcher to leave ends the watches, and leaving twice is leaving once', () => {
  const { cache, source } = setUp();
  const stops = ['reviews', 'reviews', 'reviews:80'].map((authority) =>
    source.watch(authority, new RecordingWatcher()),
  );
  stops[0]?.();
  stops[0]?.();
  expect(cache.watched).toContain('Listener/listener/reviews');
  stops[1]?.();
  expect(cache.watched).not.toContain('Listener/listener/reviews');
  expect(cache.watched).toContain('Cluster/a');
  stops[2]?.();
  expect(cache.watched).toEqual([]);
});

test('a destination that was left is watched anew when somebody asks again', () => {
  const { source } = setUp();
  source.watch('reviews', new RecordingWatcher())();
  const again = new RecordingWatcher();
  source.watch('reviews', again);
  expect(again.events).toEqual(['config']);
});

test('a watcher that throws keeps nobody from being told, and is logged', async () => {
  const { cache, source, error } = setUp();
  const bad = new RecordingWatcher();
  bad.changed = () => {
    throw new Error('boom');
  };
  const good = new RecordingWatcher();
  source.watch('reviews', bad);
  source.watch('reviews', good);
  cache.put(ENDPOINT, endpointResource('a', 2));
  await settle();
  expect(good.configs).toHaveLength(2);
  expect(error).toHaveBeenCalledWith('a watcher of configuration failed', { error: 'Error: boom' });
});

test('a watcher that leaves while others are told is not told any more', async () => {
  const { cache, source } = setUp();
  const late = new RecordingWatcher();
  const stops: (() => void)[] = [];
  const first = new RecordingWatcher();
  first.changed = () => stops[1]?.();
  stops.push(source.watch('reviews', first), source.watch('reviews', late));
  cache.put(ENDPOINT, endpointResource('a', 2));
  await settle();
  expect(late.events).toEqual(['config']);
});

test('close ends everything once, and a watch after it fails loudly', async () => {
  const { cache, source, close } = setUp();
  const watcher = new RecordingWatcher();
  source.watch('reviews', watcher);
  cache.put(ENDPOINT, endpointResource('a', 2));
  await Promise.all([source.close(), source.close()]);
  await settle();
  expect(close).toHaveBeenCalledTimes(1);
  expect(cache.watched).toEqual([]);
  expect(watcher.events).toEqual(['config']);
  const after = new RecordingWatcher();
  source.watch('reviews', after)();
  expect(after.events).toEqual([expect.stringContaining('failed: mesh.close() was called')]);
});
