import { beforeEach, describe, expect, test } from 'vitest';
import type { ConfigSource } from '../../../src/core/config-source.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import { CLUSTER, LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import { type FakeClock, settle } from '../../support/fake-clock.js';
import { RecordingWatcher, ScriptedCache } from '../../support/scripted-cache.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  lbEndpoint,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

let cache: ScriptedCache;
let source: ConfigSource;
let clock: FakeClock;
let names: Map<string, readonly string[]>;
let watcher: RecordingWatcher;

beforeEach(() => {
  cache = new ScriptedCache();
  ({ source, clock, names } = sourceOn(cache));
  watcher = new RecordingWatcher();
  cache.put(LISTENER, listenerResource('reviews', 'r'));
  cache.put(ROUTE, routeResource('r', [toCluster('a')]));
});

const dnsCluster = (type: string, hosts: readonly Resource[], fields: Resource = {}) =>
  cache.put(
    CLUSTER,
    clusterResource('a', { type, load_assignment: { endpoints: [{ lb_endpoints: hosts }] }, ...fields }),
  );
const endpoints = (): readonly EndpointConfig[] => {
  const state = watcher.last.clusters.get('a');
  if (state === undefined || state instanceof Error || state.kind !== 'leaf')
    throw new Error(`cluster "a" is ${String(state)}`);
  return state.endpoints;
};
const keys = () => endpoints().map(({ key }) => key);

describe('STRICT_DNS', () => {
  test('every address of every name is an endpoint, under the name that was resolved', async () => {
    names.set('one', ['10.0.0.1', '10.0.0.2']);
    names.set('two', ['10.0.0.2', '10.0.0.3']);
    dnsCluster('STRICT_DNS', [
      lbEndpoint('one', 80, { load_balancing_weight: { value: 3 } }),
      lbEndpoint('two', 80),
      lbEndpoint('10.0.0.9', 80),
    ]);
    source.watch('reviews', watcher);
    expect(watcher.events).toEqual([]);
    await settle();
    expect(endpoints().map(({ key, hostname, weight }) => [key, hostname, weight])).toEqual([
      ['10.0.0.1:80', 'one', 3],
      ['10.0.0.2:80', 'one', 3],
      ['10.0.0.3:80', 'two', 1],
      ['10.0.0.9:80', undefined, 1],
    ]);
  });

  test.each<[string | undefined, string[]]>([
    [undefined, ['127.0.0.1:80']],
    ['V4_PREFERRED', ['127.0.0.1:80']],
    ['V4_ONLY', ['127.0.0.1:80']],
    ['V6_ONLY', ['[::1]:80']],
    ['ALL', ['127.0.0.1:80', '[::1]:80']],
  ])('family %s', async (family, expected) => {
    names.set('localhost', ['::1', '127.0.0.1']);
    dnsCluster('STRICT_DNS', [lbEndpoint('localhost', 80)], family === undefined ? {} : { dns_lookup_family: family });
    source.watch('reviews', watcher);
    await settle();
    expect(keys()).toEqual(expected);
  });

  test('follows the name, and keeps the endpoints that remain', async () => {
    names.set('one', ['10.0.0.1', '10.0.0.2']);
    dnsCluster('STRICT_DNS', [lbEndpoint('one', 80)], { dns_refresh_rate: { seconds: 5 } });
    source.watch('reviews', watcher);
    await settle();
    const kept = endpoints()[1];
    names.set('one', ['10.0.0.2', '10.0.0.3']);
    await clock.advance(5_000);
    expect(keys()).toEqual(['10.0.0.2:80', '10.0.0.3:80']);
    expect(endpoints()[0]).toBe(kept);
  });

  test('a name that fails later keeps its addresses, and says so', async () => {
    names.set('one', ['10.0.0.1']);
    dnsCluster('STRICT_DNS', [lbEndpoint('one', 80)]);
    source.watch('reviews', watcher);
    await settle();
    names.delete('one');
    await clock.advance(30_000);
    expect(watcher.events).toEqual([
      'config',
      'ambient: destination "reviews": last configuration stands: ENOTFOUND one',
    ]);
    expect(keys()).toEqual(['10.0.0.1:80']);
  });

  test('one name of two that fails leaves the other', async () => {
    names.set('one', ['10.0.0.1']);
    dnsCluster('STRICT_DNS', [lbEndpoint('one', 80), lbEndpoint('two', 80)]);
    source.watch('reviews', watcher);
    await settle();
    expect(keys()).toEqual(['10.0.0.1:80']);
    names.set('two', ['10.0.0.2']);
    await clock.advance(2_000);
    expect(keys()).toEqual(['10.0.0.1:80', '10.0.0.2:80']);
  });

  test('is trouble of the cluster when no name can be resolved, until one can', async () => {
    dnsCluster('STRICT_DNS', [lbEndpoint('one', 80)]);
    source.watch('reviews', watcher);
    await settle();
    expect(watcher.last.clusters.get('a')).toMatchObject({
      message: 'cluster "a": the addresses of its hosts cannot be used: ENOTFOUND one',
    });
    names.set('one', ['10.0.0.1']);
    await clock.advance(2_000);
    expect(keys()).toEqual(['10.0.0.1:80']);
  });
});

describe('LOGICAL_DNS', () => {
  test('all addresses are one endpoint', async () => {
    names.set('example.com', ['fd00::1', '10.0.0.1']);
    dnsCluster('LOGICAL_DNS', [lbEndpoint('example.com', 443)]);
    source.watch('reviews', watcher);
    await settle();
    expect(endpoints()).toMatchObject([
      {
        key: '10.0.0.1:443',
        hostname: 'example.com',
        addresses: [
          { host: '10.0.0.1', port: 443 },
          { host: 'fd00::1', port: 443 },
        ],
      },
    ]);
  });
});

test('nothing is resolved any more when nobody watches', async () => {
  names.set('one', ['10.0.0.1']);
  dnsCluster('STRICT_DNS', [lbEndpoint('one', 80)]);
  const stop = source.watch('reviews', watcher);
  await settle();
  expect(clock.pending).toBe(1);
  stop();
  expect(clock.pending).toBe(0);
  expect(cache.watched).toEqual([]);
});
