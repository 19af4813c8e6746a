import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DumpedResource } from '../../../src/core/resources.js';
import { CLUSTER, LISTENER } from '../../../src/core/resources.js';
import type { DiscoveryResponse } from '../../../src/xds/wire/index.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import { type Harness, NO_FEATURES, packed, Recorder, start, until } from './harness.js';

/*
 * That a server cannot be reached is one thing (gRFC A57), that something is wrong with a resource another (A88): the first hides the second from
 * watchers while it lasts, and from dumps never.
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
  expect(harness.clock.pending).toBe(0);
  ads.close();
});

async function begin(features: Partial<typeof NO_FEATURES> = {}): Promise<void> {
  harness = start(ads.uri, { features: { ...NO_FEATURES, ...features } });
  harness.client.watch(CLUSTER, 'a', watcher);
  stream = await ads.nextStream();
  await stream.next();
}

async function respond(response: DiscoveryResponse): Promise<void> {
  count++;
  stream.send({ version_info: `v${count}`, nonce: `n${count}`, ...response });
  await stream.next();
}

/** The stream ends before any response, and the next one has been asked. */
async function loseContact(): Promise<void> {
  const before = watcher.told.length;
  stream.end();
  await until(() => harness.events.at(-1)?.kind === 'xds:disconnected');
  await harness.clock.advance(1_000);
  stream = await ads.nextStream();
  stream.fail(14, 'not now');
  await until(() => watcher.told.length > before);
  await harness.clock.advance(1_600);
  stream = await ads.nextStream();
  await stream.next();
}

const cluster = (mark: string): DiscoveryResponse => ({
  type_url: CLUSTER,
  resources: [packed(CLUSTER, { name: 'a', alt_stat_name: mark })],
});
const dumped = (): DumpedResource | undefined => harness.client.dump().resources.find(({ name }) => name === 'a');

describe('a server that cannot be reached', () => {
  test('does not hide from dumps what was refused before, and when it is heard of something else, that is what is wrong', async () => {
    await begin();
    await respond(cluster('good'));
    await respond(cluster('bad'));
    const refused = dumped();
    expect(refused).toMatchObject({ state: 'NACKED', error: { details: expect.stringMatching(/stat name is bad/) } });
    await loseContact();
    expect(watcher.told).toEqual(['changed', 'ambient', 'ambient']);
    expect(watcher.errors.at(-1)?.message).toMatch(/not now/);
    expect(dumped()).toEqual(refused);
    const listener = new Recorder();
    harness.client.watch(LISTENER, 'l', listener);
    await stream.next();
    await respond({ type_url: LISTENER, resources: [packed(LISTENER, { name: 'l' })] });
    expect(listener.told.at(-1)).toBe('changed');
    expect(watcher.told).toEqual(['changed', 'ambient', 'ambient', 'ambient']);
    expect(watcher.errors.at(-1)?.message).toMatch(/stat name is bad/);
    expect(dumped()).toEqual(refused);
    const late = new Recorder();
    harness.client.watch(CLUSTER, 'a', late);
    expect(late.told).toEqual(['changed', 'ambient']);
    expect(late.errors[0]?.message).toMatch(/stat name is bad/);
    await respond(cluster('good'));
    expect(watcher.told.at(-1)).toBe('changed');
    expect(dumped()).toMatchObject({ state: 'ACKED', error: undefined });
  });

  test('is no error of a resource that is good (A88: "the error will be unset")', async () => {
    await begin();
    await respond(cluster('good'));
    await loseContact();
    expect(watcher.told).toEqual(['changed', 'ambient']);
    expect(dumped()).toMatchObject({ state: 'ACKED', error: undefined });
  });

  // "the client should apply this same timeout, but only if the resource is not already cached" - A57
  test('is waited for anew when it is back, be it that it was silent before: that is the error then', async () => {
    await begin({ resourceTimerIsTransientError: true });
    await until(() => harness.clock.pending === 1);
    await harness.clock.advance(30_000);
    expect(watcher.told).toEqual(['failed: unreachable']);
    stream.fail(14, 'going down');
    await until(() => watcher.told.length === 2);
    await harness.clock.advance(1_000);
    stream = await ads.nextStream();
    await stream.next();
    await until(() => harness.clock.pending === 1);
    await harness.clock.advance(30_000);
    expect(watcher.told).toEqual(['failed: unreachable', 'failed: unreachable', 'failed: unreachable']);
    expect(watcher.errors.at(-1)?.message).toMatch(/sent nothing for it in 30000 ms/);
    expect(dumped()).toMatchObject({ state: 'TIMEOUT' });
  });

  test('is not what a new watcher hears of once it is back, of what it is still waited for', async () => {
    await begin();
    await respond({ type_url: CLUSTER });
    await loseContact();
    const listener = new Recorder();
    harness.client.watch(LISTENER, 'l', listener);
    await stream.next();
    await respond({ type_url: LISTENER, resources: [packed(LISTENER, { name: 'l' })] });
    const late = new Recorder();
    harness.client.watch(CLUSTER, 'a', late);
    expect(late.told).toEqual([]);
    await harness.clock.advance(15_000);
    expect(late.told).toEqual(['failed: does-not-exist']);
  });
});

describe('a watcher', () => {
  test('that another one stopped while both were to be told is not told any more', async () => {
    harness = start(ads.uri);
    const other = new Recorder();
    let stop = (): void => {};
    harness.client.watch(CLUSTER, 'a', { changed: () => stop(), failed() {}, ambient() {} });
    stop = harness.client.watch(CLUSTER, 'a', other);
    stream = await ads.nextStream();
    await stream.next();
    await respond(cluster('good'));
    expect(other.told).toEqual([]);
  });

  test.each(['*', ''])('of %j is refused, and nothing is asked for: it would be everything', async (name) => {
    await begin();
    const other = new Recorder();
    harness.client.watch(CLUSTER, name, other);
    expect(other.told).toEqual(['failed: invalid']);
    expect(stream.unread).toBe(0);
    expect(harness.client.dump().resources).toHaveLength(1);
  });
});

test('a listener for events that throws is no trouble of the control plane', async () => {
  const errors: string[] = [];
  const logger = { debug() {}, info() {}, warn() {}, error: (message: string) => errors.push(message) };
  const event = (): void => {
    throw new Error('listener');
  };
  harness = start(ads.uri, {}, { meter: { event, gauge: () => () => {} }, logger });
  harness.client.watch(CLUSTER, 'a', watcher);
  stream = await ads.nextStream();
  await stream.next();
  await respond(cluster('good'));
  await respond(cluster('better'));
  expect(watcher.told).toEqual(['changed', 'changed']);
  expect(new Set(errors)).toEqual(new Set(['a listener for events of the xDS client failed']));
});
