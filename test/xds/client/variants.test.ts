import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { type ApiType, serverKey } from '../../../src/xds/bootstrap/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, serverAt, start, until } from './harness.js';

let plane: ScriptedXds;
let harness: Harness;
beforeEach(async () => {
  plane = await ScriptedXds.start();
});
afterEach(async () => {
  await harness.client.close();
  plane.close();
});

const TYPES = [LISTENER, ROUTE, CLUSTER, ENDPOINT] as const;
const body = (type: ResourceType) => packed(type, { [type === ENDPOINT ? 'cluster_name' : 'name']: 'x' });

/** Answers the first request of the stream with the resource that it asks for, and takes the ACK. */
async function serve(stream: XdsServerStream): Promise<void> {
  const { type_url: type, node } = await stream.next();
  expect(node).toMatchObject({ id: 'node-1' });
  const resource = body(type as ResourceType);
  const isDelta = stream.method.startsWith('Delta');
  const resources = isDelta ? [{ name: 'x', version: '1', resource }] : [resource];
  stream.send({ type_url: type as string, nonce: 'n', resources } as never);
  expect(await stream.next()).toMatchObject({ response_nonce: 'n' });
}

const separate: [ApiType, string[]][] = [
  ['GRPC', ['StreamClusters', 'StreamEndpoints', 'StreamListeners', 'StreamRoutes']],
  ['DELTA_GRPC', ['DeltaClusters', 'DeltaEndpoints', 'DeltaListeners', 'DeltaRoutes']],
];

describe.each(separate)('a stream for each type (%s)', (apiType, methods) => {
  test('each type has a stream of its own service, with the node on each, all on one connection', async () => {
    harness = start(plane.uri, { apiType });
    const watchers = TYPES.map((type) => {
      const watcher = new Recorder();
      harness.client.watch(type, 'x', watcher);
      return watcher;
    });
    const streams = await Promise.all(TYPES.map(() => plane.nextStream()));
    await Promise.all(streams.map(serve));
    expect(streams.map(({ method }) => method).sort()).toEqual(methods);
    expect(new Set(streams.map(({ peer }) => peer)).size).toBe(1);
    expect(watchers.map(({ told }) => told)).toEqual(TYPES.map(() => ['changed']));
    expect(harness.events.filter(({ kind }) => kind === 'xds:connected')).toHaveLength(1);
  });

  test('of which only those are opened that something is wanted of', async () => {
    harness = start(plane.uri, { apiType });
    harness.client.watch(ENDPOINT, 'x', new Recorder());
    const stream = await plane.nextStream();
    await serve(stream);
    expect(stream.method).toBe(methods[1]);
    expect(plane.unread).toBe(0);
  });

  test('one of which ends alone is opened again alone, and the server counts as connected meanwhile', async () => {
    harness = start(plane.uri, { apiType });
    for (const type of [CLUSTER, ENDPOINT] as const) harness.client.watch(type, 'x', new Recorder());
    const streams = [await plane.nextStream(), await plane.nextStream()];
    await Promise.all(streams.map(serve));
    streams[0]?.end();
    await until(() => harness.clock.pending === 1);
    await harness.clock.advance(1_000);
    const again = await plane.nextStream();
    expect(again.method).toBe(streams[0]?.method);
    expect(again.peer).toBe(streams[1]?.peer);
    expect(harness.events.filter(({ kind }) => kind === 'xds:disconnected')).toEqual([]);
  });
});

describe('an aggregated stream', () => {
  test.each([
    ['AGGREGATED_GRPC', 'StreamAggregatedResources'],
    ['AGGREGATED_DELTA_GRPC', 'DeltaAggregatedResources'],
  ] as const)('carries all types (%s)', async (apiType, method) => {
    harness = start(plane.uri, { apiType });
    for (const type of TYPES) harness.client.watch(type, 'x', new Recorder());
    const stream = await plane.nextStream();
    const requests = await Promise.all(TYPES.map(() => stream.next()));
    expect(stream.method).toBe(method);
    expect(new Set(requests.map(({ type_url: type }) => type))).toEqual(new Set(TYPES));
    expect(requests.filter(({ node }) => node !== undefined)).toHaveLength(1);
  });
});

describe('connections for others', () => {
  test('a stream of another kind shares the connection of discovery, and ends with who opened it', async () => {
    harness = start(plane.uri);
    harness.client.watch(CLUSTER, 'x', new Recorder());
    const ads = await plane.nextStream();
    await ads.next();
    const open = await harness.client.connections.transport(serverKey(serverAt(plane.uri)));
    let connected = false;
    const stream = open('/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters', {
      connected: () => {
        connected = true;
      },
      message() {},
      ended() {},
    });
    expect(connected).toBe(false);
    stream.send(new Uint8Array(0), () => {});
    const other = await plane.nextStream();
    expect(other.peer).toBe(ads.peer);
    expect(connected).toBe(true);
    stream.close();
    await other.ended;
    harness.client.watch(CLUSTER, 'y', new Recorder());
    expect(await ads.next()).toMatchObject({ resource_names: ['x', 'y'] });
  });

  test('there are none to a server that the bootstrap does not name', async () => {
    harness = start(plane.uri);
    await expect(harness.client.connections.transport('who')).rejects.toThrow('names no xDS server who');
  });

  test('one that was lost is not used again: the next stream connects anew', async () => {
    harness = start(plane.uri);
    harness.client.watch(CLUSTER, 'x', new Recorder());
    await (await plane.nextStream()).next();
    const { port } = plane;
    plane.close();
    await until(() => harness.events.some(({ kind }) => kind === 'xds:disconnected'));
    plane = await ScriptedXds.start(port);
    await harness.clock.advance(1_600);
    expect(await (await plane.nextStream()).next()).toMatchObject({ resource_names: ['x'] });
  });
});
