import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER, type ResourceType } from '../../../src/core/resources.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import { type Harness, NO_FEATURES, packed, Recorder, start } from './harness.js';

/*
 * What gRFC A53 asked for, over the state of the world, where absence from a response is deletion. A88: "the new default behavior is to treat all
 * data errors as transient, including resource deletion".
 */

let ads: ScriptedAds;
let harness: Harness;
let stream: ScriptedStream;
let watcher: Recorder;
let count = 0;

beforeEach(async () => {
  ads = await ScriptedAds.start();
  watcher = new Recorder();
});
afterEach(async () => {
  await harness.client.close();
  ads.close();
});

/** A response with what is left; resolves when it is answered. */
async function respond(type: ResourceType, ...resources: Parameters<typeof packed>[1][]): Promise<void> {
  count++;
  const items = resources.map((resource) => packed(type, resource));
  stream.send({ type_url: type, version_info: `v${count}`, nonce: `n${count}`, resources: items });
  await stream.next();
}

async function begin(type: ResourceType, features = NO_FEATURES): Promise<void> {
  harness = start(ads.uri, { features });
  harness.client.watch(type, 'a', watcher);
  stream = await ads.nextStream();
  await stream.next();
  await respond(type, { name: 'a' });
}

describe.each([LISTENER, CLUSTER] as const)('%s that is deleted (A53, A88)', (type) => {
  test('absence from a response leaves the value in use, told once, until it is there again', async () => {
    await begin(type);
    for (let i = 0; i < 3; i++) await respond(type);
    expect(watcher.told).toEqual(['changed', 'ambient']);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'DOES_NOT_EXIST', raw: expect.anything() }]);
    const late = new Recorder();
    harness.client.watch(type, 'a', late);
    expect(late.told).toEqual(['changed', 'ambient']);
    await respond(type, { name: 'a' });
    expect(watcher.told).toEqual(['changed', 'ambient', 'changed']);
    expect(harness.client.dump().resources).toMatchObject([{ state: 'ACKED', error: undefined }]);
  });

  test('with fail_on_data_errors absence drops the value (A88)', async () => {
    await begin(type, { ...NO_FEATURES, failOnDataErrors: true });
    await respond(type);
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist']);
  });

  test('what was never there does not exist all the same: there is nothing to keep', async () => {
    await begin(type);
    const other = new Recorder();
    harness.client.watch(type, 'b', other);
    await stream.next();
    await respond(type, { name: 'a' });
    await harness.clock.advance(15_000);
    expect(other.told).toEqual(['failed: does-not-exist']);
  });
});
