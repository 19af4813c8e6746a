import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER } from '../../../src/core/resources.js';
import type { ApiType } from '../../../src/xds/bootstrap/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, start } from './harness.js';

let plane: ScriptedXds;
let harness: Harness;
let stream: XdsServerStream;
let again: Recorder;

const send = (nonce: string, ...names: string[]): void =>
  stream.send({
    type_url: CLUSTER,
    version_info: nonce,
    nonce,
    resources: names.map((name) => packed(CLUSTER, { name, alt_stat_name: nonce })),
  });

/** a and b are known; a is left, of which the server has been told, and watched again, of which it has been told as well. */
async function begin(apiType: ApiType): Promise<void> {
  plane = await ScriptedXds.start();
  harness = start(plane.uri, { apiType });
  harness.client.watch(CLUSTER, 'b', new Recorder());
  const stop = harness.client.watch(CLUSTER, 'a', new Recorder());
  stream = await plane.nextStream();
  await stream.next();
  send('1', 'a', 'b');
  await stream.next();
  stop();
  expect(await stream.next()).toMatchObject({ resource_names: ['b'] });
  again = new Recorder();
  harness.client.watch(CLUSTER, 'a', again);
  expect(await stream.next()).toMatchObject({ resource_names: ['b', 'a'], response_nonce: '1' });
}
afterEach(async () => {
  await harness.client.close();
  expect(harness.clock.pending).toBe(0);
  plane.close();
});

const variants = ['AGGREGATED_GRPC', 'GRPC'] as const;
describe.each(variants)('a resource that is left and watched again, over the state of the world (%s)', (apiType) => {
  beforeEach(() => begin(apiType));

  test('is not deleted by a response that was sent before the server heard of it', async () => {
    send('2', 'a', 'b');
    await stream.next();
    send('3', 'b');
    expect(await stream.next()).toMatchObject({ version_info: '3', resource_names: ['b', 'a'] });
    expect(again.told).toEqual(['changed']);
    send('4', 'a', 'b');
    await stream.next();
    await harness.clock.advance(60_000);
    expect(again.told).toEqual(['changed', 'changed']);
  });

  test('is deleted when no later response within 15 s has it either', async () => {
    send('2', 'a', 'b');
    await stream.next();
    send('3', 'b');
    await stream.next();
    await harness.clock.advance(14_999);
    expect(again.told).toEqual(['changed']);
    await harness.clock.advance(1);
    expect(again.told).toEqual(['changed', 'ambient']);
    expect(again.errors[0]?.message).toMatch(/was deleted by the control plane/);
  });

  test('is deleted at once after those 15 s', async () => {
    send('2', 'a', 'b');
    await stream.next();
    await harness.clock.advance(15_000);
    send('3', 'b');
    await stream.next();
    expect(again.told).toEqual(['changed', 'ambient']);
  });

  test('is still waited for when such a response does not have it', async () => {
    send('2', 'b');
    await stream.next();
    expect(again.told).toEqual([]);
    await harness.clock.advance(15_000);
    expect(again.told).toEqual(['failed: does-not-exist']);
  });
});
