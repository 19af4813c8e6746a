import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import {
  CLUSTER,
  ENDPOINT,
  INBOUND_PREFIX,
  LISTENER,
  RESOURCE_TYPES,
  type Resource,
  type ResourceType,
} from '../../../src/core/resources.js';
import type { DeltaDiscoveryResponse, WrappedResource } from '../../../src/xds/wire/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, NO_FEATURES, packed, Recorder, serverAt, start, startWith, until } from './harness.js';

let plane: ScriptedXds;
let harness: Harness;
const delta = { apiType: 'AGGREGATED_DELTA_GRPC' } as const;
beforeEach(async () => {
  plane = await ScriptedXds.start();
  harness = start(plane.uri, delta);
});
afterEach(async () => {
  await harness.client.close();
  plane.close();
});

const nameField = (type: ResourceType): string => (type === ENDPOINT ? 'cluster_name' : 'name');

/** A resource as delta sends it. */
const wrapped = (type: ResourceType, name: string, version: string, fields: Resource = {}): WrappedResource => ({
  name,
  version,
  resource: packed(type, { [nameField(type)]: name, ...fields }),
});

const disconnections = (): number => harness.events.filter((event) => event.kind === 'xds:disconnected').length;

let count = 0;
/** Sends a response and takes the answer. */
async function answer(stream: XdsServerStream, type: ResourceType, response: DeltaDiscoveryResponse) {
  count++;
  stream.send({ type_url: type, nonce: `n${count}`, ...response });
  return stream.next();
}

/** Watches one resource of the type and lets the server deliver it. */
async function watched(type: ResourceType, name: string): Promise<{ watcher: Recorder; stream: XdsServerStream }> {
  const watcher = new Recorder();
  harness.client.watch(type, name, watcher);
  const stream = await plane.nextStream();
  await stream.next();
  await answer(stream, type, { resources: [wrapped(type, name, '1')] });
  return { watcher, stream };
}

async function reconnect(stream: XdsServerStream): Promise<XdsServerStream> {
  const before = disconnections();
  stream.end();
  await until(() => disconnections() > before);
  await harness.clock.advance(1_000);
  return plane.nextStream();
}

describe('requests of delta (xds_protocol)', () => {
  test('the first one carries the node and subscribes to what is wanted, by name', async () => {
    for (const name of ['a', 'b']) harness.client.watch(CLUSTER, name, new Recorder());
    const stream = await plane.nextStream();
    expect(stream.method).toBe('DeltaAggregatedResources');
    expect(await stream.next()).toEqual({
      type_url: CLUSTER,
      resource_names_subscribe: ['a', 'b'],
      node: expect.objectContaining({ id: 'node-1' }),
    });
    expect(stream.unread).toBe(0);
  });

  test('an ACK carries the nonce and nothing else; a spontaneous one never carries it', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const stream = await plane.nextStream();
    await stream.next();
    stream.send({ type_url: CLUSTER, nonce: 'n', system_version_info: '9', resources: [wrapped(CLUSTER, 'a', '1')] });
    expect(await stream.next()).toEqual({ type_url: CLUSTER, response_nonce: 'n' });
    expect(watcher.told).toEqual(['changed']);
    expect(harness.client.dump().resources).toMatchObject([{ name: 'a', version: '1', state: 'ACKED' }]);
    harness.client.watch(CLUSTER, 'b', new Recorder());
    expect(await stream.next()).toEqual({ type_url: CLUSTER, resource_names_subscribe: ['b'] });
  });

  test('a NACK carries the nonce and every bad resource by name; the good ones apply (A46)', async () => {
    const good = new Recorder();
    const bad = new Recorder();
    harness.client.watch(CLUSTER, 'good', good);
    for (const name of ['bad1', 'bad2']) harness.client.watch(CLUSTER, name, bad);
    const stream = await plane.nextStream();
    await stream.next();
    const resources = [
      wrapped(CLUSTER, 'bad1', '1', { alt_stat_name: 'bad' }),
      wrapped(CLUSTER, 'good', '1'),
      wrapped(CLUSTER, 'bad2', '1', { alt_stat_name: 'bad' }),
    ];
    stream.send({ type_url: CLUSTER, nonce: 'n', resources });
    expect(await stream.next()).toEqual({
      type_url: CLUSTER,
      response_nonce: 'n',
      error_detail: { code: 3, message: '"bad1": stat name is bad; "bad2": stat name is bad' },
    });
    expect(good.told).toEqual(['changed']);
    expect(bad.told).toEqual(['failed: invalid', 'failed: invalid']);
  });

  test('what nobody watches any more is unsubscribed, and asked for anew when somebody does again', async () => {
    const stop = harness.client.watch(CLUSTER, 'b', new Recorder());
    const { stream } = await watched(CLUSTER, 'a');
    stop();
    expect(await stream.next()).toEqual({ type_url: CLUSTER, resource_names_unsubscribe: ['b'] });
    harness.client.watch(CLUSTER, 'b', new Recorder());
    expect(await stream.next()).toEqual({ type_url: CLUSTER, resource_names_subscribe: ['b'] });
  });

  test('a type of which nothing is wanted is not asked for on a new stream: that would mean everything', async () => {
    const stop = harness.client.watch(LISTENER, 'l', new Recorder());
    const { stream } = await watched(CLUSTER, 'a');
    stop();
    const second = await reconnect(stream);
    expect(await second.next()).toMatchObject({ type_url: CLUSTER });
    expect(second.unread).toBe(0);
  });

  test('a new stream subscribes to everything, with the versions held, and without a nonce', async () => {
    for (const name of ['missing', 'refused']) harness.client.watch(CLUSTER, name, new Recorder());
    const { stream } = await watched(CLUSTER, 'a');
    await answer(stream, CLUSTER, { resources: [wrapped(CLUSTER, 'refused', '5', { alt_stat_name: 'bad' })] });
    const second = await reconnect(stream);
    expect(await second.next()).toEqual({
      type_url: CLUSTER,
      resource_names_subscribe: ['missing', 'refused', 'a'],
      initial_resource_versions: { a: '1' },
      node: expect.anything(),
    });
    harness.client.watch(CLUSTER, 'z', new Recorder());
    expect(await second.next()).toEqual({ type_url: CLUSTER, resource_names_subscribe: ['z'] });
  });

  test('a refused update leaves the version before it among those held', async () => {
    const { stream } = await watched(CLUSTER, 'a');
    await answer(stream, CLUSTER, { resources: [wrapped(CLUSTER, 'a', '2', { alt_stat_name: 'bad' })] });
    const second = await reconnect(stream);
    expect(await second.next()).toMatchObject({ initial_resource_versions: { a: '1' } });
  });
});

describe('resources of delta', () => {
  test.each(RESOURCE_TYPES)('%s: what is not in a response is not deleted', async (type) => {
    const { watcher, stream } = await watched(type, 'a');
    await answer(stream, type, {});
    expect(watcher.told).toEqual(['changed']);
  });

  test.each(RESOURCE_TYPES)(
    '%s: what is removed is deleted, of every type; by default the last value stays',
    async (type) => {
      const { watcher, stream } = await watched(type, 'a');
      for (let i = 0; i < 2; i++)
        expect(await answer(stream, type, { removed_resources: ['a'] })).not.toHaveProperty('error_detail');
      expect(watcher.told).toEqual(['changed', 'ambient']);
      expect(watcher.errors[0]?.message).toMatch(/"a": was deleted by the control plane \(node "node-1"\)$/);
      expect(harness.client.dump().resources).toMatchObject([{ state: 'DOES_NOT_EXIST', version: '1' }]);
      await answer(stream, type, { resources: [wrapped(type, 'a', '2')] });
      expect(watcher.told).toEqual(['changed', 'ambient', 'changed']);
    },
  );

  test('what never existed is told at once, without a timeout', async () => {
    const watcher = new Recorder();
    harness.client.watch(ENDPOINT, 'nobody', watcher);
    const stream = await plane.nextStream();
    await stream.next();
    await answer(stream, ENDPOINT, { removed_resource_names: [{ name: 'nobody' }] });
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(harness.clock.pending).toBe(0);
  });

  test('what the server is silent about does not exist after 15 s all the same', async () => {
    const watcher = new Recorder();
    harness.client.watch(ENDPOINT, 'nobody', watcher);
    await (await plane.nextStream()).next();
    await until(() => harness.clock.pending === 1);
    await harness.clock.advance(15_000);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
  });

  test('a resource that was asked for by an alias is known by it, and removed by its name', async () => {
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'alias', watcher);
    const stream = await plane.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, { resources: [{ ...wrapped(CLUSTER, 'real', '7'), aliases: ['other', 'alias'] }] });
    expect(watcher.values).toEqual([{ name: 'real' }]);
    await answer(stream, CLUSTER, { removed_resources: ['real'] });
    expect(watcher.told).toEqual(['changed', 'ambient']);
    const second = await reconnect(stream);
    expect(await second.next()).toMatchObject({
      resource_names_subscribe: ['alias'],
      initial_resource_versions: { real: '7' },
    });
  });

  test('the same name twice, and a resource without a name, are refused', async () => {
    harness.client.watch(CLUSTER, 'a', new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    const resources = [wrapped(CLUSTER, 'a', '1'), wrapped(CLUSTER, 'a', '2'), {}];
    const { error_detail: detail } = await answer(stream, CLUSTER, { resources });
    expect(detail?.message).toBe('resources[2]: has no name; "a": is in the response twice');
  });

  test('an error in place of a resource is told once (xRFC TP3)', async () => {
    const watcher = new Recorder();
    harness.client.watch(LISTENER, 'l', watcher);
    const stream = await plane.nextStream();
    await stream.next();
    const resource_errors = [{ resource_name: { name: 'l' }, error_detail: { code: 5, message: 'no such listener' } }];
    for (let i = 0; i < 3; i++) await answer(stream, LISTENER, { resource_errors, removed_resources: ['l'] });
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'RECEIVED_ERROR' }]);
  });

  test('why a service’s own servers have no listener is told with its removal, and like it may be older than the request for it', async () => {
    const name = `${INBOUND_PREFIX}shpo`;
    const removal = {
      resource_errors: [{ resource_name: { name }, error_detail: { code: 5, message: 'no Service "shpo"' } }],
      removed_resources: [name],
    };
    const watcher = new Recorder();
    const stop = harness.client.watch(LISTENER, name, watcher);
    harness.client.watch(LISTENER, 'l', new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    await answer(stream, LISTENER, removal);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(harness.client.dump().resources[0]).toMatchObject({
      state: 'DOES_NOT_EXIST',
      error: { details: expect.stringContaining('says the control plane: no Service "shpo"') },
    });
    await answer(stream, LISTENER, { resources: [wrapped(LISTENER, name, '1')] });
    expect(watcher.told).toEqual(['failed: does-not-exist', 'changed']);
    // Left and asked for anew: the removal was sent before that was read.
    stop();
    await stream.next();
    const again = new Recorder();
    harness.client.watch(LISTENER, name, again);
    await stream.next();
    await answer(stream, LISTENER, removal);
    expect(again.told).toEqual([]);
    await answer(stream, LISTENER, { resources: [wrapped(LISTENER, name, '1')] });
    expect(again.told).toEqual(['changed']);
  });

  test('after the server was out of reach its next response ends the trouble of what it need not send again (A88)', async () => {
    const { watcher, stream } = await watched(CLUSTER, 'a');
    stream.end();
    await until(() => disconnections() === 1);
    await harness.clock.advance(1_000);
    (await plane.nextStream()).end();
    await until(() => watcher.told.length === 2);
    await harness.clock.advance(1_000);
    const third = await plane.nextStream();
    await third.next();
    await answer(third, CLUSTER, {});
    expect(watcher.told).toEqual(['changed', 'ambient', 'changed']);
    expect(watcher.values[1]).toBe(watcher.values[0]);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'ACKED', error: undefined }]);
  });
});

describe('server features', () => {
  const removal = async (features: Partial<typeof NO_FEATURES>): Promise<string[]> => {
    await harness.client.close();
    harness = start(plane.uri, { ...delta, features: { ...NO_FEATURES, ...features } });
    const { watcher, stream } = await watched(CLUSTER, 'a');
    await answer(stream, CLUSTER, { removed_resources: ['a'] });
    return watcher.told;
  };

  test('fail_on_data_errors: what is removed takes the last value with it (A88)', async () => {
    expect(await removal({ failOnDataErrors: true })).toEqual(['changed', 'failed: does-not-exist']);
    expect(harness.client.dump().resources).toMatchObject([{ version: '', raw: undefined }]);
  });

  test('without it what is removed leaves the last value in use (A88)', async () => {
    expect(await removal({})).toEqual(['changed', 'ambient']);
  });
});

describe('a resource that is left and watched again, over delta', () => {
  /** `a` was left and is watched again; the server knows of both. */
  async function back(first: DeltaDiscoveryResponse) {
    const stop = harness.client.watch(CLUSTER, 'a', new Recorder());
    harness.client.watch(CLUSTER, 'b', new Recorder());
    const stream = await plane.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, first);
    stop();
    expect(await stream.next()).toMatchObject({ resource_names_unsubscribe: ['a'] });
    const again = new Recorder();
    harness.client.watch(CLUSTER, 'a', again);
    expect(await stream.next()).toMatchObject({ resource_names_subscribe: ['a'] });
    return { stream, again };
  }
  const there = { resources: [wrapped(CLUSTER, 'a', '1')] };
  const gone = { removed_resources: ['a'] };

  // "the server must still provide those resources in the response" - xds_protocol, of a name that is subscribed to again
  test('is not missing because of a removal that was sent before the server heard of it', async () => {
    const { stream, again } = await back(there);
    await answer(stream, CLUSTER, gone);
    expect(again.told).toEqual([]);
    await answer(stream, CLUSTER, there);
    expect(again.told).toEqual(['changed']);
    await harness.clock.advance(60_000);
    expect(again.told).toEqual(['changed']);
  });

  test('does not exist when the removal was the answer: 15 s later', async () => {
    const { stream, again } = await back(there);
    await answer(stream, CLUSTER, gone);
    await harness.clock.advance(15_000);
    expect(again.told).toEqual(['failed: does-not-exist']);
  });

  test('does not exist at once when it did not before', async () => {
    const { stream, again } = await back(gone);
    await answer(stream, CLUSTER, gone);
    expect(again.told).toEqual(['failed: does-not-exist']);
  });

  test('is deleted at once after those 15 s', async () => {
    const { stream, again } = await back(there);
    await answer(stream, CLUSTER, there);
    await harness.clock.advance(15_000);
    await answer(stream, CLUSTER, gone);
    expect(again.told).toEqual(['changed', 'ambient']);
  });
});

describe('a server that does not know delta', () => {
  test('is asked for the state of the world from then on, at once, and the log says so once', async () => {
    plane.close();
    plane = await ScriptedXds.start(0, { sotw: true, delta: false });
    await harness.client.close();
    const warnings: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => warnings.push(message) };
    harness = startWith({ servers: [serverAt(plane.uri, delta)] }, { logger });
    const watcher = new Recorder();
    harness.client.watch(CLUSTER, 'a', watcher);
    const first = await plane.nextStream();
    expect(first.method).toBe('StreamAggregatedResources');
    expect(await first.next()).toMatchObject({ resource_names: ['a'], node: { id: 'node-1' } });
    first.send({ type_url: CLUSTER, version_info: 'v', nonce: 'n', resources: [packed(CLUSTER, { name: 'a' })] });
    expect(await first.next()).toMatchObject({ version_info: 'v', response_nonce: 'n' });
    // The connection stood all the while.
    expect(harness.events.map(({ kind }) => kind)).toEqual(['xds:connected', 'xds:update']);
    const second = await reconnect(first);
    expect(second.method).toBe('StreamAggregatedResources');
    expect(watcher.told).toEqual(['changed']);
    expect(warnings).toEqual([expect.stringMatching(/does not know delta/)]);
  });

  test('UNIMPLEMENTED from state of the world, or after a response, is an end like any other', async () => {
    const { watcher, stream } = await watched(CLUSTER, 'a');
    stream.fail(status.UNIMPLEMENTED, 'gone');
    await until(() => disconnections() === 1);
    await harness.clock.advance(1_000);
    expect((await plane.nextStream()).method).toBe('DeltaAggregatedResources');
    expect(watcher.told).toEqual(['changed']);
  });
});
