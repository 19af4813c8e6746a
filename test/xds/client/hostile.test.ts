import { once } from 'node:events';
import {
  createServer as createHttp2,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttp1, type Server } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource } from '../../../src/core/resources.js';
import type { StreamHandlers } from '../../../src/xds/client/index.js';
import { adsService, type DiscoveryRequest, discoveryMethods } from '../../../src/xds/wire/index.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { ScriptedAds } from '../../support/scripted-ads.js';
import { codec, type Harness, packed, Recorder, start, until } from './harness.js';

const { StreamAggregatedResources: method } = adsService(codec);
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const begin = (...args: Parameters<typeof start>): Harness => {
  const harness = start(...args);
  cleanups.push(() => harness.client.close());
  return harness;
};

async function scripted(): Promise<ScriptedAds> {
  const ads = await ScriptedAds.start();
  cleanups.push(() => ads.close());
  return ads;
}

async function listen(server: Server | Http2Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `127.0.0.1:${(server.address() as { port: number }).port}`;
}

const disconnected = ({ events }: Harness): number =>
  events.filter((event) => event.kind === 'xds:disconnected').length;

describe('a response that is hostile', () => {
  test('bytes that are no DiscoveryResponse end the stream, with backoff; what is cached stays', async () => {
    const ads = await scripted();
    const harness = begin(ads.uri);
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources: [packed(CLUSTER, { name: 'a' })] });
    await stream.next();
    stream.send(Buffer.from('0a ff ff ff ff ff'.replaceAll(' ', ''), 'hex'));
    await stream.ended;
    expect(watcher.told).toEqual(['changed', 'ambient']);
    expect(watcher.errors[0]?.message).toMatch(/sent what is no response: version_info: malformed .*truncated/);
    expect(harness.clock.pending).toBe(1);
    await harness.clock.advance(1_000);
    expect(await (await ads.nextStream()).next()).toMatchObject({ version_info: 'v1' });
  });

  test('types that are unknown or were not asked for are passed over, and the stream goes on', async () => {
    const ads = await scripted();
    const { client } = begin(ads.uri);
    client.watch(CLUSTER, 'a', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    for (const type_url of ['type.googleapis.com/what.Ever', '', LISTENER, '__proto__']) {
      stream.send({
        type_url,
        version_info: 'x',
        nonce: 'x',
        resources: [{ type_url, value: Buffer.from('ff', 'hex') }],
      });
    }
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1' });
    expect(await stream.next()).toMatchObject({ type_url: CLUSTER, version_info: 'v1', response_nonce: 'n1' });
    expect(stream.unread).toBe(0);
  });

  test('a wrong wire type inside a resource is a NACK that names the place', async () => {
    const ads = await scripted();
    const { client } = begin(ads.uri);
    client.watch(CLUSTER, 'a', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    const value = Buffer.concat([packed(CLUSTER, { name: 'a' }).value, Buffer.from('3201ff', 'hex')]);
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources: [{ type_url: CLUSTER, value }] });
    const message = '"a": lb_policy: malformed envoy.config.cluster.v3.Cluster: wire type 2 where 0 belongs';
    expect((await stream.next()).error_detail).toEqual({ code: 3, message });
  });

  test('a thousand bad resources are all refused by name, in an explanation of bounded length', async () => {
    const ads = await scripted();
    const { client } = begin(ads.uri);
    const names = Array.from({ length: 1_000 }, (_, i) => `cluster-${i}`);
    for (const name of names) client.watch(CLUSTER, name, new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    const resources = names.map((name) => packed(CLUSTER, { name, alt_stat_name: 'bad' }));
    stream.send({ type_url: CLUSTER, version_info: 'v1', nonce: 'n1', resources });
    const detail = (await stream.next()).error_detail?.message ?? '';
    expect(detail.length).toBeLessThan(40_000);
    expect(detail).toMatch(
      /^1000 resources are refused: "cluster-0", .*"cluster-999"\. "cluster-0": stat name is bad; /,
    );
    expect(names.filter((name) => !detail.includes(`"${name}"`))).toEqual([]);
    expect(client.dump().resources.every(({ state }) => state === 'NACKED')).toBe(true);
  });

  const body = (name: string, fields: Resource = {}) => packed(CLUSTER, { name, ...fields });
  const resource_errors = [{ resource_name: { name: 'c' }, error_detail: { code: 5, message: 'm' } }];
  const sotwSample = method.responseSerialize({
    type_url: CLUSTER,
    version_info: 'v',
    nonce: 'n',
    resources: [body('a', { type: 'EDS' }), body('b', { alt_stat_name: 'bad' })],
    resource_errors,
  });
  const deltaSample = discoveryMethods(codec).delta.responseSerialize({
    type_url: CLUSTER,
    nonce: 'n',
    resources: [
      { name: 'a', version: '1', aliases: ['c'], resource: body('a'), ttl: { seconds: 5, nanos: 7 } },
      { name: 'b', version: '2', resource: body('b', { alt_stat_name: 'bad' }) },
    ],
    removed_resources: ['c', 'd'],
    removed_resource_names: [{ name: 'a' }],
    resource_errors,
  });

  test.each([
    ['AGGREGATED_GRPC', sotwSample],
    ['AGGREGATED_DELTA_GRPC', deltaSample],
  ] as const)(
    'noise and mutations never escape (%s): each is answered, passed over, or ends the stream',
    async (apiType, good) => {
      const random = seededRandom(3);
      let handlers: StreamHandlers | undefined;
      const transport = async () => (_path: string, given: StreamHandlers) => {
        handlers = given;
        queueMicrotask(() => given.connected());
        return { send: (_bytes: Uint8Array, written: () => void) => queueMicrotask(written), read() {}, close() {} };
      };
      const { client, clock } = begin('127.0.0.1:1', { apiType }, { transport });
      const watcher = new Recorder();
      for (const name of ['a', 'b', 'c']) client.watch(CLUSTER, name, watcher);
      await until(() => handlers !== undefined);
      for (let i = 0; i < 3_000; i++) {
        const input = Buffer.from(good);
        for (let n = random.int(3); n >= 0; n--) input[random.int(input.length)] = random.int(256);
        const cut = random.int(5) === 0 ? input.subarray(0, random.int(input.length)) : input;
        handlers?.message(cut);
        await Promise.resolve();
        if (i % 20 === 0) await clock.advance(120_000);
      }
      expect(watcher.told).toContain('changed');
      expect(watcher.told).toContain('failed: invalid');
    },
  );
});

describe('a response that is large', () => {
  test('of ten megabytes is taken', async () => {
    const ads = await scripted();
    const { client } = begin(ads.uri);
    const names = Array.from({ length: 20 }, (_, i) => `cluster-${i}`);
    const watcher = new Recorder();
    for (const name of names) client.watch(ENDPOINT, name, watcher);
    const stream = await ads.nextStream();
    await stream.next();
    const lb_endpoints = Array.from({ length: 8_000 }, (_, i) => ({
      endpoint: {
        hostname: `pod-${i}.orders.default.svc.cluster.local`,
        address: { socket_address: { address: `10.0.${i >> 8}.${i & 255}`, port_value: 8080 } },
      },
    }));
    const resources = names.map((cluster_name) => packed(ENDPOINT, { cluster_name, endpoints: [{ lb_endpoints }] }));
    expect(resources.reduce((sum, { value }) => sum + value.length, 0)).toBeGreaterThan(10_000_000);
    stream.send({ type_url: ENDPOINT, version_info: 'v1', nonce: 'n1', resources });
    expect(await stream.next()).toMatchObject({ version_info: 'v1', response_nonce: 'n1' });
    expect(watcher.told).toEqual(names.map(() => 'changed'));
  });

  test('is decoded in slices, between which the loop turns; watchers see it whole', async () => {
    /** Each look at it costs a millisecond. */
    class TickingClock extends FakeClock {
      slices = 0;
      #ticks = 0;
      override now(): number {
        return super.now() + this.#ticks++;
      }
      override after(delayMs: number, task: () => void): () => void {
        if (delayMs > 0) return super.after(delayMs, task);
        this.slices++;
        setImmediate(task);
        return () => {};
      }
    }
    const ads = await scripted();
    const clock = new TickingClock();
    const { client } = begin(ads.uri, {}, { clock });
    const names = Array.from({ length: 500 }, (_, i) => `cluster-${i}`);
    const watcher = new Recorder();
    for (const name of names) client.watch(CLUSTER, name, watcher);
    const stream = await ads.nextStream();
    await stream.next();
    let toldBetween = -1;
    const look = (): void => {
      if (clock.slices === 0) setImmediate(look);
      else toldBetween = watcher.told.length;
    };
    look();
    stream.send({
      type_url: CLUSTER,
      version_info: 'v1',
      nonce: 'n1',
      resources: names.map((name) => packed(CLUSTER, { name })),
    });
    await stream.next();
    expect(clock.slices).toBeGreaterThan(30);
    expect(toldBetween).toBe(0);
    expect(watcher.told.length).toBe(500);
  });
});

describe('a server that is hostile', () => {
  async function http2(
    onStream: (stream: ServerHttp2Stream) => void,
  ): Promise<{ uri: string; sessions: ServerHttp2Session[] }> {
    const sessions: ServerHttp2Session[] = [];
    const server = createHttp2();
    server.on('session', (session) => sessions.push(session.on('error', () => {}) as ServerHttp2Session));
    server.on('stream', (stream) => {
      stream.on('error', () => {});
      onStream(stream);
    });
    cleanups.push(() => {
      for (const session of sessions) session.destroy();
      server.close();
    });
    return { uri: await listen(server), sessions };
  }

  test('that sends half a message and goes leaves what is cached, and is asked again', async () => {
    const whole = method.responseSerialize({
      type_url: CLUSTER,
      version_info: 'v1',
      nonce: 'n1',
      resources: [packed(CLUSTER, { name: 'a' })],
    });
    const frame = Buffer.concat([Buffer.alloc(5), whole]);
    frame.writeUInt32BE(whole.length, 1);
    let streams = 0;
    const { uri } = await http2((stream) => {
      streams++;
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
      if (streams === 1) stream.write(frame);
      stream.write(frame.subarray(0, frame.length - 3), () => stream.session?.destroy());
    });
    const harness = begin(uri);
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    await until(() => disconnected(harness) === 1);
    expect(watcher.told).toEqual(['changed']);
    await harness.clock.advance(1_000);
    await until(() => disconnected(harness) === 2);
    expect(streams).toBe(2);
    expect(watcher.told).toEqual(['changed', 'ambient']);
  });

  test('that says GOAWAY to every connection is asked at the pace of the backoff', async () => {
    const { uri, sessions } = await http2((stream) => {
      stream.session?.goaway(0);
      stream.close(8);
    });
    const harness = begin(uri);
    harness.client.watch(CLUSTER, 'a', new Recorder());
    for (const [i, wait] of [1_000, 1_600, 2_560, 4_096].entries()) {
      await until(() => sessions.length === i + 1);
      await until(() => disconnected(harness) === i + 1);
      await harness.clock.advance(wait - 1);
      for (let turn = 0; turn < 20; turn++) await settle();
      expect(sessions.length).toBe(i + 1);
      await harness.clock.advance(1);
    }
  });

  test('that never answers costs one stream, and tells after 15 s that nothing is there', async () => {
    const ads = await scripted();
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(LISTENER, 'l', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await until(() => clock.pending === 1);
    await clock.advance(3_600_000);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(clock.pending).toBe(0);
  });

  test('that speaks HTTP/1.1 or gRPC with a status is told of as it is', async () => {
    const http1 = createHttp1((_request, response) => response.end('hello'));
    cleanups.push(() => http1.close());
    const { uri } = await http2((stream) => {
      stream.respond({ ':status': 200, 'grpc-status': '7', 'grpc-message': 'go away' }, { endStream: true });
    });
    for (const [target, message] of [
      [await listen(http1), /^Cluster "a": control plane .*gRPC status 14: /],
      [uri, /gRPC status 7: go away/],
    ] as const) {
      const { client } = begin(target);
      const watcher = new Recorder();
      client.watch(CLUSTER, 'a', watcher);
      await until(() => watcher.told.length === 1);
      expect(watcher.told).toEqual(['failed: unreachable']);
      expect(watcher.errors[0]?.message).toMatch(message);
    }
  });

  test('that names a certificate file nobody has is an error at each attempt, not a crash', async () => {
    const credentials = {
      kind: 'tls',
      caCertificateFile: '/nowhere/ca.pem',
      certificateFile: undefined,
      privateKeyFile: undefined,
      refreshIntervalMs: 600_000,
    } as const;
    const { client, clock } = begin('127.0.0.1:1', { credentials });
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    await until(() => watcher.told.length === 1);
    expect(watcher.errors[0]?.message).toMatch(/a channel to 127\.0\.0\.1:1 cannot be made: ENOENT.*ca\.pem/);
    expect(clock.pending).toBe(1);
  });
});

describe('a configuration that is wrong', () => {
  test.each(['weird scheme://\u0000', 'dns:'])(
    'a target that is none (%j) is an error at each attempt',
    async (uri) => {
      const { client, clock } = begin(uri);
      const watcher = new Recorder();
      client.watch(CLUSTER, 'a', watcher);
      await until(() => watcher.told.length === 1 && clock.pending === 1);
      expect(watcher.told).toEqual(['failed: unreachable']);
    },
  );

  test('a node that the schema has no room for is an error that names the field', async () => {
    const ads = await scripted();
    const { client } = begin(ads.uri, {}, { node: { id: 'n', locality: { zoen: 'a' } } });
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    await until(() => watcher.told.length === 1);
    expect(watcher.errors[0]?.message).toMatch(
      /a request cannot be written: node\.locality: .*no field "zoen"; did you mean "zone"/,
    );
  });

  test('a transport that cannot be loaded is tried again', async () => {
    let attempts = 0;
    const transport = async (): Promise<never> => {
      attempts++;
      throw new Error('not installed');
    };
    const { client, clock } = begin('127.0.0.1:1', {}, { transport });
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    await until(() => watcher.told.length === 1);
    expect(watcher.errors[0]?.message).toMatch(/no connection can be made: Error: not installed/);
    await clock.advance(1_000);
    await until(() => attempts === 2);
  });
});

test('sequences of names and responses: the subscription is always what is watched, and every response is answered once', async () => {
  const random = seededRandom(4);
  const ads = await scripted();
  const { client } = begin(ads.uri);
  const watched = new Map<string, () => void>();
  const names = ['a', 'b', 'c', 'd', 'e'];
  watched.set('a', client.watch(CLUSTER, 'a', new Recorder()));
  const stream = await ads.nextStream();
  await stream.next();
  let version = '';
  for (let i = 1; i <= 200; i++) {
    for (let n = random.int(4); n > 0; n--) {
      const name = names[random.int(names.length)] as string;
      const stop = watched.get(name);
      if (stop === undefined) watched.set(name, client.watch(CLUSTER, name, new Recorder()));
      else {
        stop();
        watched.delete(name);
      }
    }
    const bad = random.int(3) === 0 && watched.size > 0;
    const resources = [...watched.keys()].map((name) =>
      packed(CLUSTER, { name, alt_stat_name: bad ? 'bad' : `s${i}` }),
    );
    stream.send({ type_url: CLUSTER, version_info: `v${i}`, nonce: `n${i}`, resources });
    let request: DiscoveryRequest;
    do request = await stream.next();
    while (request.response_nonce !== `n${i}`);
    if (!bad) version = `v${i}`;
    expect(request.version_info ?? '').toBe(version);
    expect(request.error_detail !== undefined).toBe(bad);
    expect([...(request.resource_names ?? [])].sort()).toEqual([...watched.keys()].sort());
    expect(
      client
        .dump()
        .resources.map(({ name }) => name)
        .sort(),
    ).toEqual([...watched.keys()].sort());
  }
});
