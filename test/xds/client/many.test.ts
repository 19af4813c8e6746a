import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CLUSTER, ENDPOINT, LISTENER } from '../../../src/core/resources.js';
import { CacheEntry } from '../../../src/xds/client/cache-entry.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, serverAt, startWith } from './harness.js';

/*
 * What a response costs grows with what is in it and what is watched, not with the product of both. Counted is how often the value of a cached
 * resource is looked at.
 */
const MANY = 400;
const names = Array.from({ length: MANY }, (_, i) => `cluster-${i}`);
const looks = vi.spyOn(CacheEntry.prototype, 'arrival', 'get');

let planes: ScriptedXds[];
let harness: Harness;
beforeEach(async () => {
  planes = [await ScriptedXds.start(), await ScriptedXds.start()];
});
afterEach(async () => {
  await harness.client.close();
  for (const plane of planes) plane.close();
});

/** The first of two servers is away, and the second is asked for them. */
async function begin(apiType: 'AGGREGATED_GRPC' | 'AGGREGATED_DELTA_GRPC', more: string[]): Promise<XdsServerStream> {
  planes[0]?.close();
  const [a, b] = planes.map(({ uri }) => serverAt(uri, { apiType }));
  if (a === undefined || b === undefined) throw new Error('two servers are needed');
  harness = startWith({ servers: [a, b] });
  const watcher = new Recorder();
  for (const name of [...names, ...more]) harness.client.watch(CLUSTER, name, watcher);
  const stream = (await planes[1]?.nextStream()) as XdsServerStream;
  await stream.next();
  return stream;
}

test('clusters that never came are no reason to look at all the others for each of them', async () => {
  const missing = names.map((name) => `missing-${name}`);
  const stream = await begin('AGGREGATED_GRPC', missing);
  const resources = names.map((name) => packed(CLUSTER, { name }));
  stream.send({ type_url: CLUSTER, version_info: '1', nonce: '1', resources });
  await stream.next();
  looks.mockClear();
  stream.send({ type_url: CLUSTER, version_info: '2', nonce: '2', resources });
  await stream.next();
  expect(looks.mock.calls.length).toBeLessThan(12 * MANY);
});

test('nor are names that are removed and nobody knows', async () => {
  const stream = await begin('AGGREGATED_DELTA_GRPC', []);
  const resources = names.map((name) => ({ name, version: '1', resource: packed(CLUSTER, { name }) }));
  stream.send({ type_url: CLUSTER, nonce: '1', resources });
  await stream.next();
  looks.mockClear();
  stream.send({ type_url: CLUSTER, nonce: '2', removed_resources: names.map((name) => `unknown-${name}`) });
  await stream.next();
  expect(looks.mock.calls.length).toBeLessThan(12 * MANY);
});

test('what a server says of a name holds for all that were asked for by an alias of it, and for itself', async () => {
  const stream = await begin('AGGREGATED_DELTA_GRPC', []);
  const watchers = ['a', 'b', 'real'].map((name) => {
    const watcher = new Recorder();
    harness.client.watch(ENDPOINT, name, watcher);
    return watcher;
  });
  await stream.next();
  const resource = packed(ENDPOINT, { cluster_name: 'real' });
  const shared = [{ name: 'real', aliases: ['a', 'b'], version: '1', resource }];
  stream.send({ type_url: ENDPOINT, nonce: '1', resources: shared });
  await stream.next();
  const forbidden = { resource_name: { name: 'real' }, error_detail: { code: 7, message: 'not for you' } };
  stream.send({ type_url: ENDPOINT, nonce: '2', resource_errors: [forbidden] });
  await stream.next();
  expect(watchers.map(({ told }) => told)).toEqual(Array(3).fill(['changed', 'ambient']));
  stream.send({ type_url: ENDPOINT, nonce: '3', resources: shared });
  await stream.next();
  stream.send({ type_url: ENDPOINT, nonce: '4', removed_resources: ['real'] });
  await stream.next();
  expect(watchers.map(({ told }) => told)).toEqual(Array(3).fill(['changed', 'ambient', 'changed', 'ambient']));
});

test('an alias that nobody watches any more is nobody’s', async () => {
  const stream = await begin('AGGREGATED_DELTA_GRPC', []);
  const stop = harness.client.watch(LISTENER, 'alias', new Recorder());
  await stream.next();
  const resources = [{ name: 'real', aliases: ['alias'], version: '1', resource: packed(LISTENER, { name: 'real' }) }];
  stream.send({ type_url: LISTENER, nonce: '1', resources });
  await stream.next();
  stop();
  await stream.next();
  const again = new Recorder();
  harness.client.watch(LISTENER, 'alias', again);
  await stream.next();
  stream.send({ type_url: LISTENER, nonce: '2', removed_resources: ['real'] });
  await stream.next();
  expect(again.told).toEqual([]);
});
