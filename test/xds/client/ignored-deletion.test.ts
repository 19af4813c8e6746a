import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER, type ResourceType } from '../../../src/core/resources.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import { type Harness, NO_FEATURES, packed, Recorder, start } from './harness.js';

/*
 * gRFC A53 over the state of the world, where absence from a response is deletion. Since A88 the last value stays by default, so the feature only
 * matters to a server that has `fail_on_data_errors` too: it takes deletions out of what that says.
 */
const features = { ...NO_FEATURES, failOnDataErrors: true, ignoreResourceDeletion: true };

let ads: ScriptedAds;
let harness: Harness;
let stream: ScriptedStream;
let watcher: Recorder;
let count = 0;

beforeEach(async () => {
  ads = await ScriptedAds.start();
  harness = start(ads.uri, { features });
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

describe.each([LISTENER, CLUSTER] as const)('%s with ignore_resource_deletion (A53)', (type) => {
  beforeEach(async () => {
    harness.client.watch(type, 'a', watcher);
    stream = await ads.nextStream();
    await stream.next();
    await respond(type, { name: 'a' });
  });

  test('absence from a response leaves the value in use, told once, until it is there again', async () => {
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

  test('what is refused is no deletion: fail_on_data_errors drops the value', async () => {
    const stat = type === CLUSTER ? { alt_stat_name: 'bad' } : { stat_prefix: 'bad' };
    await respond(type, { name: 'a', ...stat });
    expect(watcher.told).toEqual(['changed', 'failed: invalid']);
  });

  test('what was never there does not exist all the same: there is nothing to keep', async () => {
    const other = new Recorder();
    harness.client.watch(type, 'b', other);
    await stream.next();
    await respond(type, { name: 'a' });
    await harness.clock.advance(15_000);
    expect(other.told).toEqual(['failed: does-not-exist']);
  });
});
