import { status } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER } from '../../../src/core/resources.js';
import type { ApiType } from '../../../src/xds/bootstrap/index.js';
import type { Cache } from '../../../src/xds/client/cache.js';
import { deltaDelivery, sotwDelivery } from '../../../src/xds/client/delivery.js';
import { unpack } from '../../../src/xds/client/unpack.js';
import { type Source, Updates } from '../../../src/xds/client/updates.js';
import { WireWriter } from '../../../src/xds/wire/writer.js';
import { decodersByType } from '../../support/decoders.js';
import { FakeClock } from '../../support/fake-clock.js';
import { countPauses } from '../../support/pauses.js';
import { ScriptedXds } from '../../support/scripted-xds.js';
import { codec, type Harness, NO_FEATURES, packed, Recorder, serverAt, startWith, until } from './harness.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Setting {
  readonly plane: ScriptedXds;
  readonly harness: Harness;
  readonly warnings: string[];
}

async function begin(apiType: ApiType = 'AGGREGATED_GRPC'): Promise<Setting> {
  const plane = await ScriptedXds.start();
  const warnings: string[] = [];
  const logger = { ...silentLogger, warn: (message: string) => warnings.push(message) };
  const harness = startWith({ servers: [serverAt(plane.uri, { apiType, features: NO_FEATURES })] }, { logger });
  cleanups.push(() => plane.close());
  cleanups.push(() => harness.client.close());
  return { plane, harness, warnings };
}

/** A field of this number, `count` times over, each with nothing in it: two bytes. */
const empties = (field: number, count: number): Buffer => Buffer.alloc(2 * count, Buffer.of((field << 3) | 2, 0));

/** As many fields as are read between two pauses. */
const STEP = 2_000;

describe('a response of very many parts', () => {
  test.each([
    ['resources', sotwDelivery, 2],
    ['resource_errors', sotwDelivery, 7],
    ['resources', deltaDelivery, 2],
    ['removed_resources', deltaDelivery, 6],
    ['removed_resource_names', deltaDelivery, 8],
    ['resource_errors', deltaDelivery, 9],
    ['no field that is known', deltaDelivery, 15],
  ] as const)('is read in steps: %s (%#)', (_, read, field) => {
    const { pauses, result } = countPauses(read(codec, empties(field, 100_000)));
    expect(pauses).toBeGreaterThanOrEqual(100_000 / STEP);
    const parts = result.count + result.removed.length + result.errors.length;
    expect(parts).toBe(field === 15 ? 0 : 100_000);
  });

  test.each([
    [sotwDelivery, 2, /^resources: malformed .*DiscoveryResponse: more than 1000000 elements/],
    [deltaDelivery, 6, /^removed_resources: malformed .*DeltaDiscoveryResponse: more than 1000000 elements/],
  ] as const)('is no response beyond a million (%#)', (read, field, problem) => {
    expect(() => countPauses(read(codec, empties(field, 1_000_001)))).toThrow(problem);
  });

  test('costs two numbers for each resource that nobody has looked at: what is in it is not read', () => {
    const broken = Buffer.alloc(200_000 * 3, Buffer.of(0x12, 1, 0xff));
    const { result } = countPauses(sotwDelivery(codec, broken));
    expect(result.count).toBe(200_000);
    expect(() => countPauses(result.resource(7))).toThrow(/truncated/);
  });

  test('is unpacked in steps: a wrapper of many aliases, and an Any that says its type over and over', () => {
    const wrapper = empties(4, 100_000);
    const any = Buffer.concat([empties(1, 100_000), Buffer.from([0x12, 0])]);
    for (const [read, inner] of [
      [deltaDelivery, wrapper],
      [sotwDelivery, any],
    ] as const) {
      const writer = new WireWriter();
      writer.raw(inner);
      writer.varint32(inner.length);
      writer.varint32((2 << 3) | 2);
      const { result } = countPauses(read(codec, writer.finish()));
      expect(countPauses(result.resource(0)).pauses).toBeGreaterThanOrEqual(100_000 / STEP);
    }
  });

  test('is refused in few words, when none of its parts has a name', () => {
    const { result: delivery } = countPauses(sotwDelivery(codec, empties(2, 50_000)));
    const unpacking = unpack(delivery, {
      codec,
      decode: () => expect.unreachable('nobody asked for it'),
      type: CLUSTER,
      origin: { server: 's', trusted: false },
      wanted: () => false,
      cached: () => undefined,
    });
    const { pauses, result } = countPauses(unpacking);
    expect(pauses).toBeGreaterThanOrEqual(50_000);
    expect(result.nameless.length).toBe(50_000);
    expect(new Set(result.nameless).size).toBeLessThan(1_100);
  });

  test('ends the stream and is asked for again after a backoff that grows: it is no answer', async () => {
    const { plane, harness } = await begin();
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    for (const wait of [1_000, 1_600, 2_560]) {
      const stream = await plane.nextStream();
      await stream.next();
      stream.send(empties(2, 1_000_001));
      await stream.ended;
      await until(() => harness.clock.pending === 1);
      await harness.clock.advance(wait - 1);
      expect(plane.unread).toBe(0);
      await harness.clock.advance(1);
    }
    expect(watcher.errors[0]?.message).toMatch(/sent what is no response: resources: .*more than 1000000 elements/);
    expect((await plane.nextStream()).method).toBe('StreamAggregatedResources');
  });

  test('that only renews the time to live is taken over in steps', () => {
    const clock = new FakeClock();
    const updates = new Updates({ get: () => undefined } as unknown as Cache, { nodeId: 'n', clock });
    const heartbeats = new Map(Array.from({ length: 5_000 }, (_, i) => [`c${i}`, { version: '1', ttlMs: 1_000 }]));
    const unpacked = { good: new Map(), bad: new Map(), nameless: [], heartbeats };
    const absences = { errors: [], removed: [], complete: undefined };
    expect(countPauses(updates.apply(CLUSTER, unpacked, absences, {} as Source)).pauses).toBe(5_000);
  });
});

describe('a NACK', () => {
  test('names every bad resource, however long one name is', async () => {
    const { plane, harness } = await begin();
    const long = 'n'.repeat(17_000);
    for (const name of [long, 'small']) harness.client.watch(CLUSTER, name, new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    const resources = [long, 'small'].map((name) => packed(CLUSTER, { name, alt_stat_name: 'bad' }));
    stream.send({ type_url: CLUSTER, version_info: '1', nonce: '1', resources });
    expect((await stream.next()).error_detail?.message).toBe(
      `"${'n'.repeat(300)}…": stat name is bad; "small": stat name is bad`,
    );
  });
});

describe('a type that was not asked for', () => {
  test('is logged once, and of many types a few', async () => {
    const { plane, harness, warnings } = await begin();
    harness.client.watch(CLUSTER, 'a', new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    for (let i = 0; i < 50; i++) stream.send({ type_url: 'x', version_info: '1', nonce: String(i) });
    stream.send({ type_url: CLUSTER, version_info: '1', nonce: 'n' });
    await stream.next();
    expect(warnings).toEqual(['the control plane sent a type that was not asked for']);
    for (let i = 0; i < 50; i++) stream.send({ type_url: `x${i}`, version_info: '1', nonce: String(i) });
    stream.send({ type_url: CLUSTER, version_info: '2', nonce: 'n' });
    await stream.next();
    expect(warnings.length).toBe(8);
  });
});

describe('UNIMPLEMENTED, which a balancer says as well whose servers are away', () => {
  const cluster = (name: string, version: string) => ({
    name,
    version,
    resource: packed(CLUSTER, { name, alt_stat_name: version }),
  });

  test('is a failure like any other when the server has answered in delta before', async () => {
    const { plane, harness } = await begin('AGGREGATED_DELTA_GRPC');
    harness.client.watch(CLUSTER, 'a', new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, nonce: '1', resources: [cluster('a', '1')] });
    await stream.next();
    stream.end();
    await until(() => harness.clock.pending > 0);
    await harness.clock.advance(1_000);
    for (const wait of [1_000, 1_600]) {
      const next = await plane.nextStream();
      expect(next.method).toBe('DeltaAggregatedResources');
      next.fail(status.UNIMPLEMENTED, 'rolling out');
      await until(() => harness.clock.pending > 0);
      await harness.clock.advance(wait);
    }
    expect((await plane.nextStream()).method).toBe('DeltaAggregatedResources');
  });

  test('is believed until the stream that came in its place has ended', async () => {
    const { plane, harness, warnings } = await begin('AGGREGATED_DELTA_GRPC');
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    for (const round of [1, 2]) {
      const delta = await plane.nextStream();
      expect(delta.method).toBe('DeltaAggregatedResources');
      delta.fail(status.UNIMPLEMENTED, 'not here');
      const sotw = await plane.nextStream();
      expect(sotw.method).toBe('StreamAggregatedResources');
      await sotw.next();
      const resources = [packed(CLUSTER, { name: 'a', alt_stat_name: String(round) })];
      sotw.send({ type_url: CLUSTER, version_info: String(round), nonce: 'n', resources });
      await sotw.next();
      sotw.end();
      await until(() => harness.clock.pending > 0);
      await harness.clock.advance(1_000);
    }
    expect(watcher.told).toEqual(['changed', 'changed']);
    expect(warnings.filter((text) => /does not know delta/.test(text)).length).toBe(1);
  });

  test('for one type does not make the full set of what another says has changed', async () => {
    const { plane, harness } = await begin('DELTA_GRPC');
    const [a, b] = [new Recorder(), new Recorder()];
    harness.client.watch(CLUSTER, 'a', a);
    harness.client.watch(CLUSTER, 'b', b);
    const clusters = await plane.nextStream();
    await clusters.next();
    clusters.send({ type_url: CLUSTER, nonce: '1', resources: [cluster('a', '1'), cluster('b', '1')] });
    await clusters.next();
    harness.client.watch(ENDPOINT, 'e', new Recorder());
    (await plane.nextStream()).fail(status.UNIMPLEMENTED, 'no delta endpoints');
    expect((await plane.nextStream()).method).toBe('StreamEndpoints');
    clusters.send({ type_url: CLUSTER, nonce: '2', resources: [cluster('b', '2')] });
    expect((await clusters.next()).error_detail).toBeUndefined();
    expect([a.told, b.told]).toEqual([['changed'], ['changed', 'changed']]);
  });
});

test('an xdstp: name is the same with its context parameters in another order, inside the resource too (A47)', async () => {
  const plane = await ScriptedXds.start();
  cleanups.push(() => plane.close());
  const server = serverAt(plane.uri, { apiType: 'AGGREGATED_DELTA_GRPC' });
  const authorities = new Map([['auth', { listenerTemplate: undefined, servers: [server] as const }]]);
  const { client } = startWith(
    { servers: [server], authorities: authorities as never },
    { decoders: decodersByType as never },
  );
  cleanups.push(() => client.close());
  const named = (context: string): string => `xdstp://auth/envoy.config.endpoint.v3.ClusterLoadAssignment/e?${context}`;
  const watcher = new Recorder();
  client.watch(ENDPOINT, named('b=2&a=1'), watcher);
  const stream = await plane.nextStream();
  await stream.next();
  const resource = packed(ENDPOINT, { cluster_name: named('b=2&a=1') });
  stream.send({ type_url: ENDPOINT, nonce: '1', resources: [{ name: named('a=1&b=2'), version: '1', resource }] });
  expect((await stream.next()).error_detail).toBeUndefined();
  expect(watcher.told).toEqual(['changed']);
});

test('a listener whose own name is another is refused still', () => {
  const decode = decodersByType[LISTENER]({ name: 'b' }, 'a', { server: 's', trusted: false });
  expect(() => countPauses(decode)).toThrow('name: must be the name of the resource, "a", got "b"');
});
