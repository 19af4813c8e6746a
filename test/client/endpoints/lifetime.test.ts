import { describe, expect, test } from 'vitest';
import { LINGER_MS } from '../../../src/client/endpoints/registry.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE } from '../../../src/core/resources.js';
import { aReply, OpenReply } from '../../support/calls.js';
import { failoverClient } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { ScriptedCache } from '../../support/scripted-cache.js';
import { aCluster, aForward, aRoute, aTarget } from '../../support/targets.js';
import { sourceOn } from '../../support/xds-mesh.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';
import type { HoldingSource } from '../../../src/client/holding-source.js';

const A = '10.0.0.1:80';
const to = (cluster: string) => aRoute({ action: aForward({ [cluster]: 1 }, { timeoutMs: 0 }) });

/** A client on real xDS dependencies, whose resources the test writes. */
function onXds() {
  const cache = new ScriptedCache();
  const { source } = sourceOn(cache);
  const client = failoverClient({ source: source as HoldingSource });
  cache.put(LISTENER, listenerResource('reviews', 'r'));
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
    cache.put(ENDPOINT, endpointResource(name, ...ports));
  };
  return { ...client, cache, routeTo, bring };
}

describe('A74: a cluster lives until the last call that chose it has picked', () => {
  test('a retry in its back-off picks in it, on the connections that it has, though it was dropped meanwhile', async () => {
    const replies = [aReply(503), aReply(200), aReply(200)];
    const client = failoverClient({ answer: () => replies.shift() ?? aReply(500) });
    const call = client.call();
    client.source.of('reviews').changed(aTarget([to('old')], [aCluster('old', [A])]));
    // The first attempt has failed, and the retry waits.
    while (client.destinations.clusters.list()[0]?.limits.retries !== 1) await settle();
    client.source.of('reviews').changed(aTarget([to('new')], [aCluster('new', ['10.0.0.9:80'])]));
    expect(client.destinations.clusters.list().map(({ config }) => config.name)).toEqual(['old']);
    await client.clock.advance(500);
    expect((await call).status).toBe(200);
    expect(client.took()).toEqual([A, A]);
    expect(client.opened).toEqual([`http1 ${A}`]);
    await client.clock.advance(2 * LINGER_MS);
    expect(client.closed).toEqual([A]);
    expect(client.destinations.clusters.list()).toEqual([]);
    await client.destinations.close();
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  });

  test('the same where the failed attempt and the update fall into one turn', async () => {
    const replies = [aReply(503), aReply(200)];
    const client = failoverClient({ answer: () => replies.shift() ?? aReply(500) });
    const call = client.call();
    client.source.of('reviews').changed(aTarget([to('old')], [aCluster('old', [A])]));
    client.source.of('reviews').changed(aTarget([to('new')], [aCluster('new', ['10.0.0.9:80'])]));
    while (client.clock.pending === 0) await settle();
    for (let i = 0; i < 20; i++) await client.clock.advance(100);
    expect((await call).status).toBe(200);
    expect(client.took()).toEqual([A, A]);
  });

  test('a retry goes on in it with the endpoints that it has by then', async () => {
    const client = onXds();
    client.bring('old', 1);
    client.routeTo('old');
    client.down.add('127.0.0.1:1');
    const call = client.call({ timeoutMs: 5_000 });
    while (client.destinations.clusters.list()[0]?.limits.retries !== 1) await settle();
    client.bring('new', 9);
    client.routeTo('new');
    await settle();
    client.bring('old', 2);
    await settle();
    await client.clock.advance(500);
    expect((await call).status).toBe(200);
    expect(client.took()).toEqual(['127.0.0.1:1', '127.0.0.1:2']);
    await client.clock.advance(2 * LINGER_MS);
    expect(client.cache.watched).not.toContain('Cluster/old');
    expect(client.destinations.clusters.list()).toEqual([]);
  });

  test('a call that waits for ready is served when the dropped cluster gets an endpoint; then it is let go', async () => {
    const client = onXds();
    client.bring('old');
    client.routeTo('old');
    const waiting = client.call({ waitForReady: true });
    await settle();
    client.bring('new', 9);
    client.routeTo('new');
    await settle();
    expect(client.cache.watched).toContain('Cluster/old');
    await client.call();
    expect(client.took()).toEqual(['127.0.0.1:9']);
    await client.clock.advance(10 * LINGER_MS);
    client.bring('old', 1);
    expect((await waiting).status).toBe(200);
    expect(client.took()).toEqual(['127.0.0.1:1']);
    await client.clock.advance(2 * LINGER_MS);
    await settle();
    expect(client.cache.watched).not.toContain('Cluster/old');
    expect(client.destinations.clusters.list().map(({ config }) => config.name)).toEqual(['new']);
  });

  test('one that is named again meanwhile is the same as before, and nothing waits for its end any more', async () => {
    const client = onXds();
    client.bring('old');
    client.routeTo('old');
    const waiting = client.call({ waitForReady: true });
    await settle();
    const [before] = client.destinations.clusters.list();
    client.bring('new', 9);
    client.routeTo('new');
    await settle();
    client.routeTo('old');
    await settle();
    client.bring('old', 1);
    expect((await waiting).status).toBe(200);
    expect(client.destinations.clusters.list()[0]).toBe(before);
    await client.clock.advance(5 * LINGER_MS);
    await client.call();
    expect(client.closed).toEqual([]);
    expect(client.cache.watched).toContain('Cluster/old');
  });

  test('a reply that goes on keeps its connection, and the cluster goes when it has ended', async () => {
    const open = new OpenReply();
    const client = failoverClient({ answer: () => open });
    const call = client.call();
    client.source.of('reviews').changed(aTarget([to('old')], [aCluster('old', [A])]));
    await call;
    client.source.of('reviews').changed(aTarget([to('new')], [aCluster('new', ['10.0.0.9:80'])]));
    await client.clock.advance(60_000);
    expect(client.closed).toEqual([]);
    open.finish();
    await client.clock.advance(LINGER_MS);
    expect(client.closed).toEqual([A]);
  });

  test('the mesh does not wait for any of them when it is closed', async () => {
    const client = onXds();
    client.bring('old');
    client.routeTo('old');
    const waiting = expect(client.call({ waitForReady: true })).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    await settle();
    client.bring('new', 9);
    client.routeTo('new');
    await settle();
    await client.destinations.close();
    await waiting;
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
    expect(client.cache.watched).toEqual([]);
  });
});
