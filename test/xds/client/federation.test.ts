import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER } from '../../../src/core/resources.js';
import { ScriptedXds } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, serverAt, startWith, until } from './harness.js';

let own: ScriptedXds;
let other: ScriptedXds;
let harness: Harness;
beforeEach(async () => {
  [own, other] = await Promise.all([ScriptedXds.start(), ScriptedXds.start()]);
  const authority = (uri: string) => ({ listenerTemplate: '', servers: [serverAt(uri)] as const });
  harness = startWith({
    servers: [serverAt(own.uri)],
    authorities: new Map([
      ['same', authority(own.uri)],
      ['other', authority(other.uri)],
      ['', authority(other.uri)],
    ]),
  });
});
afterEach(async () => {
  await harness.client.close();
  expect(harness.clock.pending).toBe(0);
  own.close();
  other.close();
});

const listener = (authority: string, id: string): string =>
  `xdstp://${authority}/envoy.config.listener.v3.Listener/${id}`;

const watch = (name: string): Recorder => {
  const watcher = new Recorder();
  harness.client.watch(LISTENER, name, watcher);
  return watcher;
};

describe('authorities (gRFC A47)', () => {
  test('a name is asked for at the servers of its authority, an old-style one at the top-level ones', async () => {
    const watchers = ['plain', listener('other', 'a'), listener('', 'b')].map(watch);
    const stream = await own.nextStream();
    expect((await stream.next()).resource_names).toEqual(['plain']);
    const foreign = await other.nextStream();
    expect((await foreign.next()).resource_names).toEqual([listener('other', 'a'), listener('', 'b')]);
    foreign.send({
      type_url: LISTENER,
      nonce: 'n',
      version_info: 'v',
      resources: [packed(LISTENER, { name: listener('other', 'a') })],
    });
    await foreign.next();
    expect(watchers.map(({ told }) => told)).toEqual([[], ['changed'], []]);
  });

  test('authorities with the same server share its stream', async () => {
    watch('plain');
    watch(listener('same', 'a'));
    const stream = await own.nextStream();
    expect((await stream.next()).resource_names).toEqual(['plain', listener('same', 'a')]);
    expect(own.unread).toBe(0);
  });

  test('an unknown authority is told at once', () => {
    const watcher = watch(listener('nobody', 'a'));
    expect(watcher.told).toEqual(['failed: invalid']);
    expect(watcher.errors[0]?.message).toMatch(/the bootstrap has no authority "nobody", but: "same", "other", ""$/);
    expect(harness.client.dump().resources).toEqual([]);
  });

  test('so are a name that cannot be read, and one of another type', () => {
    expect(watch('xdstp:what').told).toEqual(['failed: invalid']);
    expect(watch('xdstp://other/envoy.config.cluster.v3.Cluster/a').told).toEqual(['failed: invalid']);
  });

  test('names that are the same are asked for once, and found under whatever form the server uses', async () => {
    const watchers = [listener('other', 'a%3a1?y=2&x=1'), listener('other', 'a:1?x=1&y=2')].map(watch);
    const stream = await other.nextStream();
    expect((await stream.next()).resource_names).toEqual([listener('other', 'a:1?x=1&y=2')]);
    const name = listener('other', 'a%3A1?y=2&x=1');
    const resources = [packed(LISTENER, { name })];
    stream.send({ type_url: LISTENER, nonce: 'n', version_info: 'v', resources });
    expect(await stream.next()).not.toHaveProperty('error_detail');
    expect(watchers.map(({ values }) => values)).toEqual([[{ name }], [{ name }]]);
  });

  test('one authority out of reach is no trouble of another', async () => {
    other.close();
    const far = watch(listener('other', 'a'));
    const near = watch('plain');
    await until(() => far.told.length > 0);
    await (await own.nextStream()).next();
    expect(far.told).toEqual(['failed: unreachable']);
    expect(near.told).toEqual([]);
  });

  test('the connection of an authority goes with its last resource; that of the top-level servers stays', async () => {
    const stop = harness.client.watch(LISTENER, listener('other', 'a'), new Recorder());
    const stopOwn = harness.client.watch(CLUSTER, 'c', new Recorder());
    const foreign = await other.nextStream();
    const stream = await own.nextStream();
    await foreign.next();
    await stream.next();
    stop();
    stopOwn();
    await foreign.ended;
    expect(await stream.next()).toEqual({ type_url: CLUSTER });
    watch('plain');
    expect((await stream.next()).resource_names).toEqual(['plain']);
    watch(listener('other', 'a'));
    expect((await (await other.nextStream()).next()).resource_names).toEqual([listener('other', 'a')]);
  });
});
