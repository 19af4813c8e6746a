import { connect as connectHttp2 } from 'node:http2';
import { Client, credentials, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { AdsServer } from '../../../src/controlplane/server/ads-server.js';
import type { AdsServerLimits } from '../../../src/controlplane/server/limits.js';
import { buildSnapshot, type Snapshot } from '../../../src/controlplane/snapshot/snapshot.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemClock } from '../../../src/core/clock.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceSet, ROUTE } from '../../../src/core/resources.js';
import { type Codec, loadCodec } from '../../../src/xds/wire/index.js';
import { ScriptedAdsClient } from '../../support/ads-client.js';
import { edsCluster, endpoints, meshOf, resourceSet } from '../../support/mesh-resources.js';

let codec: Codec;
beforeAll(async () => {
  codec = await loadCodec();
});

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const snapshot = (set: ResourceSet): Snapshot =>
  buildSnapshot(set, (type, resource) => codec.encodeResource(type, resource));

async function serve(set?: ResourceSet, limits: Partial<AdsServerLimits> = {}) {
  const server = new AdsServer({ codec, clock: systemClock, logger: silentLogger, identifier: 'inmesh', limits });
  cleanups.push(() => server.close());
  if (set !== undefined) server.publish(snapshot(set));
  const port = await server.listen({ host: '127.0.0.1', port: 0 });
  const connect = (): ScriptedAdsClient => {
    const client = new ScriptedAdsClient(port, codec);
    cleanups.push(() => client.close());
    return client;
  };
  return { server, port, connect };
}

describe('on the wire', () => {
  it('an Envoy gets clusters, endpoints, listeners and routes with versions that are hashes of content', async () => {
    const set = meshOf({ reviews: ['v1', 'v2'] });
    const expected = snapshot(set);
    const { connect } = await serve(set);
    const client = connect();
    client.subscribe(CLUSTER);
    const clusters = await client.next();
    expect(clusters).toMatchObject({
      type_url: CLUSTER,
      nonce: expect.stringMatching(/^1-/),
      control_plane: { identifier: 'inmesh' },
    });
    expect(clusters.version_info).toBe(expected.types[CLUSTER].version);
    expect(client.decoded(clusters)).toEqual([edsCluster('v1'), edsCluster('v2')]);
    client.ack(clusters);
    client.subscribe(ENDPOINT, ['v1', 'v2']);
    const loads = await client.next();
    expect(client.decoded(loads).map((it) => it['cluster_name'])).toEqual(['v1', 'v2']);
    client.ack(loads, ['v1', 'v2']);
    client.subscribe(LISTENER);
    const listeners = await client.next();
    expect(listeners).toMatchObject({
      type_url: LISTENER,
      version_info: expected.types[LISTENER].version,
      nonce: expect.stringMatching(/^3-/),
    });
    client.ack(listeners);
    client.subscribe(ROUTE, ['reviews-routes']);
    const routes = await client.next();
    expect(Buffer.from(routes.resources?.[0]?.value ?? [])).toEqual(
      Buffer.from(expected.types[ROUTE].resources.get('reviews-routes')?.bytes ?? []),
    );
  });

  it('another server with the same configuration sends the same bytes under the same version', async () => {
    const seen = [];
    for (let i = 0; i < 2; i++) {
      const { connect, server } = await serve(meshOf({ reviews: ['v1'] }));
      const client = connect();
      client.subscribe(LISTENER, ['reviews']);
      const { version_info, resources } = await client.next();
      seen.push({ version_info, bytes: resources?.map(({ value }) => Buffer.from(value).toString('hex')) });
      client.close();
      await server.close();
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  it('after a reconnect everything asked for is sent again, under the version that the client has', async () => {
    const { connect } = await serve(meshOf({ reviews: ['v1'] }));
    const first = connect();
    first.subscribe(ENDPOINT, ['v1']);
    const before = await first.next();
    first.ack(before, ['v1']);
    first.close();
    const second = connect();
    second.send({ type_url: ENDPOINT, resource_names: ['v1'], version_info: before.version_info ?? '' });
    const after = await second.next();
    expect(after).toMatchObject({ version_info: before.version_info, resources: [{ type_url: ENDPOINT }] });
  });

  it('a listener that nobody has is answered with a NOT_FOUND error of its own (gRFC A88)', async () => {
    const { connect } = await serve(meshOf({ reviews: ['v1'] }));
    const client = connect();
    client.subscribe(LISTENER, ['ratings', 'reviews']);
    const response = await client.next();
    expect(client.decoded(response).map((it) => it['name'])).toEqual(['reviews']);
    expect(response.resource_errors).toEqual([
      {
        resource_name: { name: 'ratings' },
        error_detail: { code: status.NOT_FOUND, message: 'Listener "ratings" does not exist in the configuration' },
      },
    ]);
  });

  it('a client that asks before there is a configuration is answered when there is one', async () => {
    const { server, connect } = await serve();
    const client = connect();
    client.subscribe(LISTENER, ['reviews']);
    const answered = client.next();
    client.subscribe(CLUSTER, ['v1']);
    await until(() => [...server.sessions][0]?.stream.subscriptions.size === 2);
    server.publish(snapshot(meshOf({ reviews: ['v1'] })));
    expect(await answered).toMatchObject({ type_url: CLUSTER });
  });
});

describe('updates', () => {
  it('reach every client, and only those whose resources changed', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'], b: ['c2'] }));
    const clients = [connect(), connect()];
    for (const [i, client] of clients.entries()) {
      client.subscribe(LISTENER, [i === 0 ? 'a' : 'b']);
      client.ack(await client.next(), [i === 0 ? 'a' : 'b']);
      client.subscribe(ROUTE, [i === 0 ? 'a-routes' : 'b-routes']);
      client.ack(await client.next(), [i === 0 ? 'a-routes' : 'b-routes']);
    }
    const changed = clients[0]?.next();
    server.publish(snapshot(meshOf({ a: ['c1', 'c2'], b: ['c2'] })));
    expect(await changed).toMatchObject({ type_url: ROUTE, nonce: expect.stringMatching(/^3-/) });
    expect(clients[1]?.responses).toHaveLength(2);
  });

  it('a type is not pushed again before its last response was answered; then only the newest is', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'] }, 9_001));
    const client = connect();
    client.subscribe(ENDPOINT, ['c1']);
    const first = await client.next();
    for (const port of [9_002, 9_003, 9_004]) server.publish(snapshot(meshOf({ a: ['c1'] }, port)));
    const newest = snapshot(meshOf({ a: ['c1'] }, 9_004));
    const second = client.next();
    client.ack(first, ['c1']);
    expect(await second).toMatchObject({
      version_info: newest.types[ENDPOINT].version,
      nonce: expect.stringMatching(/^2-/),
    });
    expect(client.responses).toHaveLength(2);
  });

  it('the refusal of one response is on the ledger with its words, and the next version is sent all the same', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'] }, 9_001));
    const client = connect();
    client.subscribe(ENDPOINT, ['c1']);
    const first = await client.next();
    client.nack(first, 'c1: endpoints[0]: not to my taste', ['c1']);
    const ledger = () => [...server.sessions][0]?.stream.subscriptions.get(ENDPOINT);
    await until(() => ledger()?.rejection !== undefined);
    expect(ledger()?.rejection).toMatchObject({
      code: 3,
      message: 'c1: endpoints[0]: not to my taste',
      version: first.version_info,
    });
    const second = client.next();
    server.publish(snapshot(meshOf({ a: ['c1'] }, 9_002)));
    client.ack(await second, ['c1']);
    await until(() => ledger()?.ackedVersion !== undefined);
    expect([...server.sessions][0]?.stream.synced).toBe(true);
  });

  it('a stale nonce is not answered', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'], b: ['c2'] }, 9_001));
    const client = connect();
    client.subscribe(ENDPOINT, ['c1']);
    const first = await client.next();
    client.ack(first, ['c1']);
    const second = client.next();
    server.publish(snapshot(meshOf({ a: ['c1'], b: ['c2'] }, 9_002)));
    const newest = await second;
    client.ack(first, ['c1', 'c2']);
    const third = client.next();
    client.ack(newest, ['c2']);
    expect(client.decoded(await third).map((it) => it['cluster_name'])).toEqual(['c2']);
    expect(client.responses).toHaveLength(3);
  });
});

describe('hostile clients', () => {
  /** Still serves others. */
  const serves = async (connect: () => ScriptedAdsClient): Promise<void> => {
    const client = connect();
    client.subscribe(CLUSTER);
    expect((await client.next()).resources).toHaveLength(1);
    client.close();
  };

  it('a request without a type ends its stream with INVALID_ARGUMENT', async () => {
    const { connect } = await serve(meshOf({ a: ['c1'] }));
    const client = connect();
    client.send({ resource_names: ['a'] });
    expect(await client.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('type_url'),
    });
    await serves(connect);
  });

  it('more names than allowed end the stream with RESOURCE_EXHAUSTED', async () => {
    const { connect } = await serve(meshOf({ a: ['c1'] }), { maxNames: 3 });
    const client = connect();
    client.subscribe(ENDPOINT, ['1', '2', '3', '4']);
    expect(await client.ended).toMatchObject({
      code: status.RESOURCE_EXHAUSTED,
      details: '4 resource names asked for, at most 3 are allowed',
    });
    await serves(connect);
  });

  it('one stream more than allowed is refused, and there is room again when another ends', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'] }), { maxStreams: 1 });
    const first = connect();
    first.subscribe(CLUSTER);
    await first.next();
    const second = connect();
    second.subscribe(CLUSTER);
    expect(await second.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    first.end();
    expect(await first.ended).toMatchObject({ code: status.OK });
    await until(() => server.sessions.size === 0);
    await serves(connect);
  });

  it('a type that is not served is left unanswered, and the stream goes on', async () => {
    const { connect } = await serve(meshOf({ a: ['c1'] }));
    const client = connect();
    client.send({
      type_url: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
      resource_names: ['x'],
    });
    client.subscribe(CLUSTER);
    expect(await client.next()).toMatchObject({ type_url: CLUSTER, nonce: expect.stringMatching(/^1-/) });
  });

  it('names like those of built-in properties are names like any other', async () => {
    const names = ['__proto__', 'constructor', 'hasOwnProperty', ''];
    const { connect } = await serve(
      resourceSet({ clusters: [edsCluster('__proto__')], endpoints: [endpoints('__proto__', 1)] }),
    );
    const client = connect();
    client.subscribe(ENDPOINT, names);
    expect(client.decoded(await client.next()).map((it) => it['cluster_name'])).toEqual(['__proto__']);
  });

  it('bytes that are no request end their stream and nothing else', async () => {
    const { port, connect, server } = await serve(meshOf({ a: ['c1'] }));
    const raw = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources';
    const sendRaw = (bytes: Uint8Array): Promise<number> =>
      new Promise((resolve) => {
        const stream = raw.makeBidiStreamRequest<Uint8Array, Uint8Array>(
          path,
          (it) => Buffer.from(it),
          (it) => it,
        );
        stream.on('error', () => {});
        stream.on('data', () => {});
        stream.once('status', ({ code }) => resolve(code));
        stream.write(bytes);
        stream.end();
      });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        expect([status.OK, status.INTERNAL, status.INVALID_ARGUMENT]).toContain(await sendRaw(bytes));
      }),
      { numRuns: 200 },
    );
    raw.close();
    await until(() => server.sessions.size === 0);
    await serves(connect);
  });
});

describe('closing', () => {
  it('ends streams with OK, after what was written, and leaves no connection', async () => {
    const { server, connect } = await serve(meshOf({ a: ['c1'] }));
    const client = connect();
    client.subscribe(CLUSTER);
    await client.next();
    const closed = server.close();
    expect(await client.ended).toMatchObject({ code: status.OK });
    await closed;
    expect(server.sessions.size).toBe(0);
    await server.close();
  });

  it('a client that never ends its half is cut off after drainMs', async () => {
    const { server, port } = await serve(meshOf({ a: ['c1'] }), { drainMs: 20 });
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    const gone = new Promise<void>((resolve) => session.once('close', resolve));
    const request = session.request({
      ':method': 'POST',
      ':path': '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    request.on('error', () => {});
    session.on('error', () => {});
    await until(() => server.sessions.size === 1);
    await server.close();
    await gone;
  });

  it('a client that comes while it closes is told to go elsewhere', async () => {
    const { server, port } = await serve(meshOf({ a: ['c1'] }));
    await server.close();
    const late = new ScriptedAdsClient(port, codec);
    late.subscribe(CLUSTER);
    expect(await late.ended).toMatchObject({ code: status.UNAVAILABLE });
    late.close();
  });

  it('an address in use is an error that names it', async () => {
    const { port } = await serve();
    const second = new AdsServer({ codec, clock: systemClock, logger: silentLogger, identifier: 'x' });
    await expect(second.listen({ host: '127.0.0.1', port })).rejects.toThrow(`cannot listen on 127.0.0.1:${port}`);
    await second.close();
  });
});

/** Waits for real I/O to bring about `condition`, a turn of the loop at a time. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
