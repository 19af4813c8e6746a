import { afterEach, describe, expect, test } from 'vitest';
import { INBOUND_PREFIX, LISTENER, MESH_INBOUND } from '../../../src/core/resources.js';
import type { WrappedResource } from '../../../src/xds/wire/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { codec, type Harness, NO_FEATURES, packed, Recorder, start, until } from './harness.js';

/** Policies for a service's own servers: that there are none is the control plane's word, not its silence. */

const NAME = `${INBOUND_PREFIX}reviews`;
const WRAPPER = 'envoy.service.discovery.v3.Resource';

let plane: ScriptedXds;
let harness: Harness;
let stream: XdsServerStream;
let watcher: Recorder;
async function begin(...args: Parameters<typeof start> extends [string, ...infer R] ? R : never): Promise<void> {
  plane = await ScriptedXds.start();
  harness = start(plane.uri, ...args);
  watcher = new Recorder();
  harness.client.watch(LISTENER, NAME, watcher);
  await asked();
}
afterEach(async () => {
  await harness.client.close();
  expect(harness.clock.pending).toBe(0);
  plane.close();
});

async function asked(): Promise<void> {
  stream = await plane.nextStream();
  await stream.next();
  await until(() => harness.clock.pending === 1);
}

const wrapper = (name: string): WrappedResource => ({ name, version: '1', resource: packed(LISTENER, { name }) });

async function respond(message: object): Promise<void> {
  stream.send({ type_url: LISTENER, nonce: 'n', ...message } as never);
  expect(await stream.next()).not.toHaveProperty('error_detail');
}

describe.each([
  ['SotW', 'AGGREGATED_GRPC'],
  ['delta', 'AGGREGATED_DELTA_GRPC'],
] as const)('policies of a service’s own servers over %s', (kind, apiType) => {
  const send = (one: WrappedResource): Promise<void> =>
    respond({
      resources: [
        kind === 'delta'
          ? one
          : { type_url: `type.googleapis.com/${WRAPPER}`, value: codec.encodeMessage(WRAPPER, one) },
      ],
    });
  /** What the control plane answers when it has none. */
  const none = (): Promise<void> =>
    kind === 'delta' ? respond({ removed_resources: [NAME] }) : send(wrapper('another'));

  test('are not known when the control plane is silent, and come into use when it speaks', async () => {
    await begin({ apiType });
    await harness.clock.advance(15_000);
    expect(watcher.told).toEqual(['failed: unreachable']);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'TIMEOUT' }]);
    await send(wrapper(NAME));
    expect(watcher.told).toEqual(['failed: unreachable', 'changed']);
  });

  test('do not exist by the control plane’s word', async () => {
    await begin({ apiType });
    await none();
    await harness.clock.advance(kind === 'delta' ? 0 : 15_000);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
  });

  test('do not exist by its word that comes late', async () => {
    await begin({ apiType });
    await harness.clock.advance(15_000);
    await none();
    expect(watcher.told).toEqual(['failed: unreachable', 'failed: does-not-exist']);
  });

  test('are unknown, and not gone, when their time to live is over: who renews them is silent', async () => {
    await begin({ apiType });
    await send({ ...wrapper(NAME), ttl: { seconds: 60 } });
    await harness.clock.advance(60_000);
    expect(watcher.told).toEqual(['changed', 'failed: unreachable']);
  });
});

test('those of the whole mesh are a name that other control planes have never heard of: silence about them is a no, but not about the service’s own', async () => {
  plane = await ScriptedXds.start();
  harness = start(plane.uri, { apiType: 'AGGREGATED_DELTA_GRPC' });
  watcher = new Recorder();
  const own = new Recorder();
  harness.client.watch(LISTENER, MESH_INBOUND, watcher);
  harness.client.watch(LISTENER, NAME, own);
  stream = await plane.nextStream();
  await stream.next();
  await until(() => harness.clock.pending === 2);
  await harness.clock.advance(15_000);
  expect([watcher.told, own.told]).toEqual([['failed: does-not-exist'], ['failed: unreachable']]);
});

describe('a full set without them', () => {
  test('is the word of the server that was asked on this stream: one that broke has said nothing', async () => {
    await begin();
    await respond({ resources: [packed(LISTENER, { name: 'another' })] });
    stream.end();
    await until(() => harness.events.some(({ kind }) => kind === 'xds:disconnected'));
    await harness.clock.advance(1_000);
    stream = await plane.nextStream();
    await stream.next();
    await harness.clock.advance(15_000);
    expect(watcher.told).toEqual(['failed: unreachable']);
  });

  test('is a word also where the wait means slowness (A88)', async () => {
    await begin({ features: { ...NO_FEATURES, resourceTimerIsTransientError: true } });
    await respond({ resources: [packed(LISTENER, { name: 'another' })] });
    await harness.clock.advance(30_000);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
  });
});
