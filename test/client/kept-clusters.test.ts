import { expect, test } from 'vitest';
import type { HoldingSource } from '../../src/client/holding-source.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../src/core/resources.js';
import { aCall } from '../support/calls.js';
import { failoverClient } from '../support/failover.js';
import { settle } from '../support/fake-clock.js';
import { ScriptedCache } from '../support/scripted-cache.js';
import { sourceOn } from '../support/xds-mesh.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../support/xds-resources.js';

/** A client on real xDS dependencies, whose resources the test writes; calls that the mesh itself makes go to the cluster `limits`. */
function client() {
  const cache = new ScriptedCache();
  const made = failoverClient({ source: sourceOn(cache).source as HoldingSource });
  const bring = (name: string, ...ports: number[]) => {
    cache.put(CLUSTER, clusterResource(name));
    cache.put(ENDPOINT, endpointResource(name, ...ports));
  };
  const ask = () => made.destinations.beside(aCall({ authority: 'limits', timeoutMs: 1_000 }));
  return { ...made, cache, bring, ask };
}

test('a cluster that is kept is loaded by its name alone, until the last who keeps it lets go', async () => {
  const { destinations, cache, bring, ask, took, env, clock } = client();
  const release = destinations.keep('limits');
  const other = destinations.keep('limits');
  expect(cache.watched).toEqual(['Cluster/limits']);
  const waiting = ask();
  bring('limits', 1);
  expect((await waiting).status).toBe(200);
  bring('limits', 2);
  await settle();
  await ask();
  expect(took()).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
  release();
  release();
  await ask();
  expect(cache.watched).toEqual(['Cluster/limits', 'ClusterLoadAssignment/limits']);
  other();
  expect(cache.watched).toEqual([]);
  await destinations.close();
  env.deadlines.close();
  expect(clock.pending).toBe(0);
});

test('a name that no cluster has is an authority like any other', async () => {
  const { destinations, cache, bring, ask, took } = client();
  cache.put(LISTENER, listenerResource('limits', 'r'));
  cache.put(ROUTE, routeResource('r', [toCluster('a')]));
  bring('a', 7);
  cache.fail(CLUSTER, 'limits');
  destinations.keep('limits');
  await settle();
  await ask();
  expect(took()).toEqual(['127.0.0.1:7']);
  // Once there is such a cluster, it is meant.
  bring('limits', 8);
  await settle();
  await ask();
  expect(took()).toEqual(['127.0.0.1:8']);
  await destinations.close();
  expect(cache.watched).toEqual([]);
});
