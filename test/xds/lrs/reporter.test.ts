import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import type { ClusterLoad } from '../../../src/core/load-reports.js';
import type { Locality } from '../../../src/core/model/endpoint.js';
import { type LrsStream, ScriptedLrs, startWithoutLrs } from '../../support/scripted-lrs.js';
import { type Harness, start, until } from './harness.js';

const ZONE: Locality = { region: 'eu', zone: 'a', subZone: '' };
const EVERY_SECOND = { load_reporting_interval: { seconds: 1, nanos: 0 } };

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serve(port = 0): Promise<ScriptedLrs> {
  const server = await ScriptedLrs.start(port);
  opened.push(() => server.close());
  return server;
}

function report(uri: string): Harness {
  const harness = start(uri);
  opened.push(() => harness.reporter.close());
  return harness;
}

function call(cluster: ClusterLoad, times = 1): void {
  const locality = cluster.locality(ZONE);
  for (let i = 0; i < times; i++) {
    locality.started();
    locality.finished(true, undefined);
  }
}

/** A stream that has been told what the server wants, and whose client has heard it. */
async function answered(harness: Harness, server: ScriptedLrs, response: object): Promise<LrsStream> {
  const stream = await server.nextStream();
  await stream.next();
  const timers = harness.clock.pending;
  stream.send({ ...EVERY_SECOND, ...response });
  await until(() => harness.clock.pending > timers);
  return stream;
}

const succeeded = (stats: { upstream_locality_stats?: readonly { total_successful_requests: number }[] }): number =>
  (stats.upstream_locality_stats ?? []).reduce((sum, locality) => sum + locality.total_successful_requests, 0);

test('no stream is opened before a cluster wants its load reported', async () => {
  const server = await serve();
  const harness = report(server.uri);
  await harness.clock.advance(10_000);
  expect(server.unclaimed).toBe(0);
  harness.reporter.recorder.cluster('shop', undefined, harness.config);
  await server.nextStream();
});

test('A27: the first request has the node, with the feature, and no loads', async () => {
  const server = await serve();
  const { reporter, config } = report(server.uri);
  call(reporter.recorder.cluster('shop', undefined, config));
  const first = await (await server.nextStream()).next();
  expect(first.node?.['id']).toBe('node-1');
  expect(first.node?.['client_features']).toContain('envoy.lrs.supports_send_all_clusters');
  expect(first.cluster_stats).toBeUndefined();
});

test('reports go out in the interval that the server gives, without the node, and say how long it really was', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', 'shop-eds', harness.config);
  const stream = await answered(harness, server, {
    send_all_clusters: true,
    load_reporting_interval: { seconds: 2, nanos: 500_000_000 },
  });
  call(shop, 3);
  await harness.clock.advance(2_499);
  expect(stream.unread).toBe(0);
  await harness.clock.advance(1);
  const request = await stream.next();
  expect(request.node).toBeUndefined();
  expect(request.cluster_stats).toMatchObject([
    {
      cluster_name: 'shop',
      cluster_service_name: 'shop-eds',
      upstream_locality_stats: [
        { locality: { region: 'eu', zone: 'a' }, total_issued_requests: 3, total_successful_requests: 3 },
      ],
      load_report_interval: { seconds: 2, nanos: 500_000_000 },
    },
  ]);
});

test('defect 9 of grpc-js-xds: of the clusters listed each is reported, the first included, and no other', async () => {
  const server = await serve();
  const harness = report(server.uri);
  for (const name of ['a', 'b', 'c', 'unlisted']) {
    call(harness.reporter.recorder.cluster(name, undefined, harness.config));
  }
  const stream = await answered(harness, server, { clusters: ['a', 'b', 'c', 'unknown'] });
  await harness.clock.advance(1_000);
  const { cluster_stats = [] } = await stream.next();
  expect(cluster_stats.map((stats) => stats.cluster_name)).toEqual(['a', 'b', 'c']);
  expect(cluster_stats.map(succeeded)).toEqual([1, 1, 1]);
});

test.each([
  ['no interval', {}],
  ['too short an interval', { load_reporting_interval: { seconds: 0, nanos: 1 } }],
  ['an interval that cannot be meant', { load_reporting_interval: { seconds: -5, nanos: 0 } }],
])('a server that gives %s gets a report a second, as from C-core', async (_, response) => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const stream = await server.nextStream();
  await stream.next();
  stream.send({ send_all_clusters: true, ...response });
  await until(() => harness.clock.pending > 0);
  call(shop);
  await harness.clock.advance(999);
  expect(stream.unread).toBe(0);
  await harness.clock.advance(1);
  expect((await stream.next()).cluster_stats?.length).toBe(1);
});

test('a server that changes its mind is obeyed on the same stream: other clusters, another interval', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const [a, b] = ['a', 'b'].map((name) => harness.reporter.recorder.cluster(name, undefined, harness.config)) as [
    ClusterLoad,
    ClusterLoad,
  ];
  const stream = await answered(harness, server, { clusters: ['a'] });
  call(a);
  call(b);
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map((stats) => stats.cluster_name)).toEqual(['a']);
  await until(() => harness.clock.pending === 1);
  call(b, 5);
  stream.send({ clusters: ['b'], load_reporting_interval: { seconds: 10, nanos: 0 } });
  // Every second until the other interval is heard of; then nothing for ten.
  stream.send(Buffer.from([0xff]));
  await until(() => harness.logged.length > 0);
  await harness.clock.advance(9_999);
  expect(stream.unread).toBe(0);
  await harness.clock.advance(1);
  const { cluster_stats = [] } = await stream.next();
  // Of b, what was counted before it was asked for is not reported: it was cleared with the report on a.
  expect(cluster_stats.map((stats) => [stats.cluster_name, succeeded(stats)])).toEqual([['b', 5]]);
});

test('a message that is no LoadStatsResponse is logged and passed over', async () => {
  const server = await serve();
  const harness = report(server.uri);
  call(harness.reporter.recorder.cluster('shop', undefined, harness.config));
  const stream = await server.nextStream();
  stream.send(Buffer.from([0xff, 0xff]));
  stream.send({ send_all_clusters: true });
  await stream.next();
  await until(() => harness.clock.pending > 0 && harness.logged.length > 0);
  expect(harness.logged).toEqual(['warn: the control plane sent what is no LoadStatsResponse']);
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.length).toBe(1);
});

test('C-core: of reports in which all is zero the first is sent, and then none until something happens', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const stream = await answered(harness, server, { send_all_clusters: true });
  call(shop);
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([1]);
  await until(() => harness.clock.pending === 1);
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([0]);
  await until(() => harness.clock.pending === 1);
  await harness.clock.advance(5_000);
  call(shop, 2);
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([2]);
});

test('a stream that breaks is opened again, backing off, and what was counted meanwhile is in the next report', async () => {
  let server = await serve();
  const { port } = server;
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  await answered(harness, server, { send_all_clusters: true });
  call(shop, 2);
  server.close();
  await until(() => harness.logged.includes('debug: the stream for load reports ended'));
  call(shop, 3);
  // 1 s, since it was answered; then nobody listens: 1 s and 1.6 s.
  await harness.clock.advance(1_000);
  await until(() => harness.logged.includes('warn: load cannot be reported for now'));
  await harness.clock.advance(1_000);
  await until(() => harness.logged.filter((line) => line.startsWith('debug')).length === 2);
  call(shop, 4);
  server = await serve(port);
  await harness.clock.advance(1_599);
  expect(server.unclaimed).toBe(0);
  await harness.clock.advance(1);
  const stream = await answered(harness, server, { send_all_clusters: true });
  await harness.clock.advance(1_000);
  const { cluster_stats = [] } = await stream.next();
  expect(cluster_stats.map(succeeded)).toEqual([9]);
  expect(cluster_stats[0]?.load_report_interval.seconds).toBe(4);
  expect(harness.logged.filter((line) => line.startsWith('warn'))).toEqual(['warn: load cannot be reported for now']);
});

test('a server without LRS is told of once, and asked again ten minutes later', async () => {
  const without = await startWithoutLrs();
  const harness = report(`127.0.0.1:${without.port}`);
  call(harness.reporter.recorder.cluster('shop', undefined, harness.config));
  await until(() => harness.logged.length > 0);
  await harness.clock.advance(600_000);
  await until(() => harness.logged.length > 1);
  expect(harness.logged).toEqual([
    'warn: the control plane takes no load reports',
    'debug: the stream for load reports ended',
  ]);
  without.close();
  const server = await serve(without.port);
  await harness.clock.advance(599_999);
  expect(server.unclaimed).toBe(0);
  await harness.clock.advance(1);
  const stream = await answered(harness, server, { send_all_clusters: true });
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([1]);
});

test('a peer that accepts the connection and says nothing is given up after 20 s', async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  opened.push(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const harness = report(`127.0.0.1:${(silent.address() as AddressInfo).port}`);
  harness.reporter.recorder.cluster('shop', undefined, harness.config);
  await until(() => harness.clock.pending > 0 && sockets.size > 0);
  await harness.clock.advance(19_999);
  expect(harness.logged).toEqual([]);
  await harness.clock.advance(1);
  expect(harness.logged).toEqual(['warn: load cannot be reported for now']);
});

test('when the last cluster is given back the rest is reported, and the stream ends', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const stream = await answered(harness, server, { send_all_clusters: true });
  call(shop, 2);
  shop.release();
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([2]);
  await stream.ended;
  expect(harness.clock.pending).toBe(0);
  call(harness.reporter.recorder.cluster('again', undefined, harness.config));
  const second = await answered(harness, server, { send_all_clusters: true });
  await harness.clock.advance(1_000);
  expect((await second.next()).cluster_stats?.map((stats) => stats.cluster_name)).toEqual(['again']);
});

test('a cluster that counted nothing and is given back ends the stream at once', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const stream = await answered(harness, server, { send_all_clusters: true });
  shop.release();
  await stream.ended;
  expect(harness.clock.pending).toBe(0);
});

test('close sends what was counted since the last report, and leaves nothing behind', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const stream = await answered(harness, server, { send_all_clusters: true });
  call(shop, 7);
  await harness.reporter.close();
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([7]);
  await stream.ended;
  expect(harness.clock.pending).toBe(0);
  call(shop);
  call(harness.reporter.recorder.cluster('late', undefined, harness.config));
  await harness.clock.advance(10_000);
  expect(server.unclaimed).toBe(0);
});

test('close does not wait for a server that has not said what it wants, nor for one that is away', async () => {
  const server = await serve();
  const harness = report(server.uri);
  call(harness.reporter.recorder.cluster('shop', undefined, harness.config));
  const stream = await server.nextStream();
  await stream.next();
  await harness.reporter.close();
  await stream.ended;
  expect(harness.clock.pending).toBe(0);
  const away = report('127.0.0.1:1');
  call(away.reporter.recorder.cluster('shop', undefined, away.config));
  await until(() => away.logged.length > 0);
  await away.reporter.close();
  expect(away.clock.pending).toBe(0);
});

test('a server that the bootstrap does not name is no reason to stop anything', async () => {
  const harness = report('127.0.0.1:1');
  call(harness.reporter.recorder.cluster('shop', undefined, { server: 'another', metrics: [] }));
  await until(() => harness.logged.length > 0);
  expect(harness.logged).toEqual(['warn: load cannot be reported for now']);
});

test('an unexpected status ends the attempt like any other', async () => {
  const server = await serve();
  const harness = report(server.uri);
  const shop = harness.reporter.recorder.cluster('shop', undefined, harness.config);
  const first = await server.nextStream();
  first.fail(grpc.status.PERMISSION_DENIED, 'not you');
  await until(() => harness.logged.length > 0);
  call(shop);
  await harness.clock.advance(1_000);
  const stream = await answered(harness, server, { send_all_clusters: true });
  await harness.clock.advance(1_000);
  expect((await stream.next()).cluster_stats?.map(succeeded)).toEqual([1]);
});
