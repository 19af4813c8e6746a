import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CLUSTER, ENDPOINT } from '../../../src/core/resources.js';
import type { WrappedResource } from '../../../src/xds/wire/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { codec, type Harness, packed, Recorder, start, until } from './harness.js';

let plane: ScriptedXds;
let harness: Harness;
let watcher: Recorder;
let stream: XdsServerStream;

const WRAPPER = 'envoy.service.discovery.v3.Resource';
const variants = [
  ['SotW', 'AGGREGATED_GRPC'],
  ['delta', 'AGGREGATED_DELTA_GRPC'],
] as const;

describe.each(variants)('time to live over %s (xds_protocol, TTL)', (name, apiType) => {
  beforeEach(async () => {
    plane = await ScriptedXds.start();
    harness = start(plane.uri, { apiType });
    watcher = new Recorder();
    harness.client.watch(ENDPOINT, 'e', watcher);
    stream = await plane.nextStream();
    await stream.next();
  });
  afterEach(async () => {
    await harness.client.close();
    expect(harness.clock.pending).toBe(0);
    plane.close();
  });

  const send = async (wrapper: WrappedResource): Promise<void> => {
    const packedWrapper = { type_url: `type.googleapis.com/${WRAPPER}`, value: codec.encodeMessage(WRAPPER, wrapper) };
    const resources = name === 'delta' ? [wrapper] : [packedWrapper];
    stream.send({ type_url: ENDPOINT, nonce: 'n', resources } as never);
    expect(await stream.next()).not.toHaveProperty('error_detail');
  };
  const resource = packed(ENDPOINT, { cluster_name: 'e' });
  const ttl = { seconds: 60 };

  test('a resource whose time has passed is gone as if deleted, and its last value with it', async () => {
    await send({ name: 'e', version: '1', resource, ttl });
    await harness.clock.advance(59_999);
    expect(watcher.told).toEqual(['changed']);
    await harness.clock.advance(1);
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist']);
    expect(watcher.errors[0]?.message).toMatch(/time to live of 60000 ms has passed/);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'DOES_NOT_EXIST', version: '' }]);
    await send({ name: 'e', version: '1', resource, ttl });
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist', 'changed']);
  });

  test('also when the server has been out of reach meanwhile: that is what it is for', async () => {
    await send({ name: 'e', version: '1', resource, ttl });
    plane.close();
    await until(() => harness.events.some(({ kind }) => kind === 'xds:disconnected'));
    await harness.clock.advance(60_000);
    expect(watcher.told).toContain('failed: does-not-exist');
  });

  test('a time that is longer than a timer can be is waited for in full', async () => {
    // As Node's: a longer delay is cut to it (core/clock.ts).
    const longest = 2_147_483_647;
    const { clock } = harness;
    const after = clock.after.bind(clock);
    vi.spyOn(clock, 'after').mockImplementation((delayMs, task) => after(Math.min(delayMs, longest), task));
    await send({ name: 'e', version: '1', resource, ttl: { seconds: 60 * 86_400 } });
    await clock.advance(60 * 86_400_000 - 1);
    expect(watcher.told).toEqual(['changed']);
    await clock.advance(1);
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist']);
  });

  test('a heartbeat renews it and is no update', async () => {
    await send({ name: 'e', version: '1', resource, ttl });
    await harness.clock.advance(50_000);
    await send({ name: 'e', version: '1', ttl });
    await harness.clock.advance(59_999);
    expect(watcher.told).toEqual(['changed']);
    await harness.clock.advance(1);
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist']);
  });

  test('a heartbeat for another version, or for what is not there, is passed over', async () => {
    await send({ name: 'e', version: '1', ttl });
    expect(watcher.told).toEqual([]);
    await send({ name: 'e', version: '1', resource, ttl });
    await send({ name: 'e', version: '2', ttl: { seconds: 3_600 } });
    await harness.clock.advance(60_000);
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist']);
  });

  test('a resource that comes again without a time to live has none', async () => {
    await send({ name: 'e', version: '1', resource, ttl });
    await send({ name: 'e', version: '1', resource });
    expect(harness.clock.pending).toBe(0);
    await send({ name: 'e', version: '1', resource, ttl: {} });
    await harness.clock.advance(3_600_000);
    expect(watcher.told).toEqual(['changed']);
  });

  test('what nobody watches any more has no timer', async () => {
    const stop = harness.client.watch(CLUSTER, 'c', new Recorder());
    await stream.next();
    stream.send({
      type_url: CLUSTER,
      nonce: 'n',
      ...(name === 'delta'
        ? { resources: [{ name: 'c', version: '1', resource: packed(CLUSTER, { name: 'c' }), ttl }] }
        : { resources: [packed(CLUSTER, { name: 'c' })] }),
    } as never);
    await stream.next();
    stop();
    await stream.next();
    expect(harness.clock.pending).toBe(1);
  });
});
