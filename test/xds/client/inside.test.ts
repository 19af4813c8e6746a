import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type MeshEvent, noMeter } from '../../../src/core/meter.js';
import { CLUSTER, ENDPOINT, type Resource } from '../../../src/core/resources.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, serverAt, startWith, until } from './harness.js';

let plane: ScriptedXds;
let harness: Harness;
const gauges = new Map<string, () => number>();
let disconnections = 0;

const meter = {
  ...noMeter,
  event({ kind }: MeshEvent): void {
    if (kind === 'xds:disconnected') disconnections++;
  },
  gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): () => void {
    const key = [name, ...Object.values(labels)].join(' ');
    gauges.set(key, read);
    return () => gauges.delete(key);
  },
};

beforeEach(async () => {
  disconnections = 0;
  plane = await ScriptedXds.start();
  harness = startWith({ servers: [serverAt(plane.uri)] }, { meter });
});
afterEach(async () => {
  await harness.client.close();
  expect([...gauges.keys()]).toEqual([]);
  plane.close();
});

let count = 0;
async function send(stream: XdsServerStream, ...resources: Resource[]): Promise<void> {
  count++;
  const packedOnes = resources.map((resource) => packed(CLUSTER, resource));
  stream.send({ type_url: CLUSTER, version_info: `v${count}`, nonce: `n${count}`, resources: packedOnes });
  await stream.next();
}

async function opened(...names: string[]): Promise<XdsServerStream> {
  for (const name of names) harness.client.watch(CLUSTER, name, new Recorder());
  const stream = await plane.nextStream();
  await stream.next();
  return stream;
}

describe('a dump (gRFC A40)', () => {
  test('has node, scope, and of each resource the bytes in use', async () => {
    const stream = await opened('a', 'b');
    expect(harness.client.dump().resources).toMatchObject([
      { name: 'a', state: 'REQUESTED', version: '', updatedAt: undefined, raw: undefined, error: undefined },
      { name: 'b', state: 'REQUESTED' },
    ]);
    await send(stream, { name: 'a' });
    const { node, scope, resources } = harness.client.dump();
    expect(node).toMatchObject({ id: 'node-1' });
    expect(scope).toBe('#test');
    expect(resources[0]).toEqual({
      type: CLUSTER,
      name: 'a',
      state: 'ACKED',
      version: `v${count}`,
      updatedAt: harness.clock.wallTime(),
      raw: new Uint8Array(packed(CLUSTER, { name: 'a' }).value),
      error: undefined,
    });
  });

  test('shows of a refused update what was refused, its version and when, beside what is in use', async () => {
    const stream = await opened('a');
    await send(stream, { name: 'a' });
    const good = count;
    await harness.clock.advance(5_000);
    await send(stream, { name: 'a', alt_stat_name: 'bad' });
    expect(harness.client.dump().resources).toMatchObject([
      {
        state: 'NACKED',
        version: `v${good}`,
        raw: new Uint8Array(packed(CLUSTER, { name: 'a' }).value),
        error: {
          details: 'Cluster "a": is refused: stat name is bad (node "node-1")',
          version: `v${count}`,
          attemptedAt: harness.clock.wallTime(),
          raw: new Uint8Array(packed(CLUSTER, { name: 'a', alt_stat_name: 'bad' }).value),
        },
      },
    ]);
    await send(stream, { name: 'a' });
    expect(harness.client.dump().resources).toMatchObject([{ state: 'ACKED', error: undefined }]);
  });

  test('does not keep a refused resource of more than a megabyte', async () => {
    const stream = await opened('a');
    await send(stream, {
      name: 'a',
      alt_stat_name: 'bad',
      metadata: { filter_metadata: { x: { fields: { y: { string_value: 'z'.repeat(1_048_576) } } } } },
    });
    expect(harness.client.dump().resources).toMatchObject([{ state: 'NACKED', error: { raw: undefined } }]);
  });

  test('keeps copies: no resource holds the response that it came in', async () => {
    const stream = await opened('a', 'b');
    await send(stream, { name: 'a' }, { name: 'b', alt_stat_name: 'x'.repeat(100_000) });
    for (const { raw } of harness.client.dump().resources) {
      const bytes = raw as Uint8Array;
      expect(bytes.buffer.byteLength).toBe(bytes.byteLength);
    }
  });
});

describe('metrics (gRFC A78, A88)', () => {
  const read = (name: string): number | undefined => gauges.get(`grpc.xds_client.${name}`)?.();

  test('count resources that are valid, unchanged ones too, and those that are not', async () => {
    const stream = await opened('a', 'b');
    await send(stream, { name: 'a' }, { name: 'b', alt_stat_name: 'bad' });
    await send(stream, { name: 'a' });
    const labels = `#test ${plane.uri} envoy.config.cluster.v3.Cluster`;
    expect(read(`resource_updates_valid ${labels}`)).toBe(2);
    expect(read(`resource_updates_invalid ${labels}`)).toBe(1);
  });

  test('say how many resources are in which state; those that were ignored are still cached', async () => {
    const stream = await opened('a', 'b', 'c');
    await send(stream, { name: 'a' }, { name: 'b' });
    await send(stream, { name: 'a' });
    const state = (name: string) => read(`resources #test #old ${name} envoy.config.cluster.v3.Cluster`);
    expect(state('acked')).toBe(1);
    expect(state('does_not_exist_but_cached')).toBe(1);
    expect(state('requested')).toBe(1);
    expect(state('nacked')).toBeNaN();
  });

  test('a server is connected until a connectivity failure, and again with the first response after it', async () => {
    const stream = await opened('a');
    expect(read(`connected #test ${plane.uri}`)).toBe(1);
    stream.fail(14, 'no');
    await until(() => read(`server_failure #test ${plane.uri}`) === 1);
    expect(read(`connected #test ${plane.uri}`)).toBe(0);
    await harness.clock.advance(1_000);
    (await plane.nextStream()).fail(14, 'no');
    await until(() => disconnections === 2);
    await harness.clock.advance(1_600);
    const third = await plane.nextStream();
    await third.next();
    await send(third, { name: 'a' });
    expect(read(`connected #test ${plane.uri}`)).toBe(1);
    expect(read(`server_failure #test ${plane.uri}`)).toBe(1);
  });
});

describe('a large response', () => {
  /** Each look at it costs a millisecond; pauses are counted. */
  class TickingClock extends FakeClock {
    pauses = 0;
    onPause = (): void => {};
    #ticks = 0;
    override now(): number {
      return super.now() + this.#ticks++;
    }
    override after(delayMs: number, task: () => void): () => void {
      if (delayMs > 0) return super.after(delayMs, task);
      this.pauses++;
      setImmediate(() => {
        this.onPause();
        task();
      });
      return () => {};
    }
  }

  test('is told to its watchers with pauses as well, and each is told of a whole resource', async () => {
    await harness.client.close();
    const clock = new TickingClock();
    harness = startWith({ servers: [serverAt(plane.uri)] }, { clock });
    const watchers = Array.from({ length: 300 }, () => new Recorder());
    for (const [i, watcher] of watchers.entries()) harness.client.watch(CLUSTER, `c${i}`, watcher);
    const stream = await plane.nextStream();
    await stream.next();
    const told = new Set<number>();
    clock.onPause = () => told.add(watchers.filter((watcher) => watcher.told.length > 0).length);
    await send(stream, ...watchers.map((_, i) => ({ name: `c${i}` })));
    expect([...told].filter((some) => some > 0 && some < 300).length).toBeGreaterThan(30);
    expect(watchers.every((watcher) => watcher.told.join() === 'changed')).toBe(true);
  });

  test('of which something is left while it is taken in is answered, and what was left is gone', async () => {
    await harness.client.close();
    const clock = new TickingClock();
    harness = startWith({ servers: [serverAt(plane.uri)] }, { clock });
    const watchers = Array.from({ length: 100 }, () => new Recorder());
    const stops = watchers.map((watcher, i) => harness.client.watch(CLUSTER, `c${i}`, watcher));
    const stream = await plane.nextStream();
    await stream.next();
    clock.onPause = () => stops.pop()?.();
    await send(stream, ...watchers.map((_, i) => ({ name: `c${i}` })));
    await until(() => harness.client.dump().resources.length === stops.length);
    expect(harness.client.dump().resources.every(({ state }) => state === 'ACKED')).toBe(true);
  });

  test('and close while it is taken in ends everything', async () => {
    await harness.client.close();
    const clock = new TickingClock();
    harness = startWith({ servers: [serverAt(plane.uri)] }, { clock });
    const watcher = new Recorder();
    for (let i = 0; i < 100; i++) harness.client.watch(CLUSTER, `c${i}`, watcher);
    const stream = await plane.nextStream();
    await stream.next();
    let closed: Promise<void> | undefined;
    clock.onPause = () => {
      closed ??= harness.client.close();
    };
    const resources = Array.from({ length: 100 }, (_, i) => packed(CLUSTER, { name: `c${i}` }));
    stream.send({ type_url: CLUSTER, version_info: 'v', nonce: 'n', resources });
    await stream.ended;
    await closed;
    const before = watcher.told.length;
    await until(() => clock.pending === 0);
    expect(watcher.told.length).toBe(before);
    harness.client.watch(ENDPOINT, 'e', watcher);
    expect(watcher.told.at(-1)).toBe('failed: unreachable');
  });
});
