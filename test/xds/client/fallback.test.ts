import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLUSTER, LISTENER, ROUTE, type ResourceType } from '../../../src/core/resources.js';
import type { ApiType } from '../../../src/xds/bootstrap/index.js';
import { ScriptedXds, type XdsServerStream } from '../../support/scripted-xds.js';
import { type Harness, packed, Recorder, serverAt, startWith, until } from './harness.js';

let planes: ScriptedXds[];
let harness: Harness;
beforeEach(async () => {
  planes = [await ScriptedXds.start(), await ScriptedXds.start()];
});
afterEach(async () => {
  await harness.client.close();
  for (const plane of planes) plane.close();
});

const first = (): ScriptedXds => planes[0] as ScriptedXds;
const second = (): ScriptedXds => planes[1] as ScriptedXds;

function begin(apiType: ApiType = 'AGGREGATED_GRPC'): void {
  const [a, b] = planes.map(({ uri }) => serverAt(uri, { apiType }));
  if (a === undefined || b === undefined) throw new Error('two servers are needed');
  harness = startWith({ servers: [a, b] });
}

const watch = (type: ResourceType, name: string): Recorder => {
  const watcher = new Recorder();
  harness.client.watch(type, name, watcher);
  return watcher;
};

let count = 0;
/** Sends the named resources, with `mark` in them, and takes the answer. */
async function give(stream: XdsServerStream, type: ResourceType, names: string[], mark: string) {
  count++;
  const field = type === CLUSTER ? { alt_stat_name: mark } : {};
  const bodies = names.map((name) => ({ name, body: packed(type, { name, ...field }) }));
  const isDelta = stream.method.startsWith('Delta');
  const resources = isDelta
    ? bodies.map(({ name, body }) => ({ name, version: mark, resource: body }))
    : bodies.map(({ body }) => body);
  const nonce = `n${count}`;
  stream.send({ type_url: type, nonce, ...(isDelta ? {} : { version_info: mark }), resources } as never);
  for (;;) {
    const request = await stream.next();
    if (request.response_nonce === nonce) return request;
  }
}

/** Ends the server; it is revived on the same port. */
async function kill(plane: ScriptedXds): Promise<() => Promise<void>> {
  const { port } = plane;
  const before = harness.events.filter(({ kind }) => kind === 'xds:disconnected').length;
  plane.close();
  await until(() => harness.events.filter(({ kind }) => kind === 'xds:disconnected').length > before);
  return async () => {
    planes[planes.indexOf(plane)] = await ScriptedXds.start(port);
  };
}

const marks = (watcher: Recorder): unknown[] =>
  watcher.values.map((value) => (value as { alt_stat_name?: string }).alt_stat_name);

describe('the next server (gRFC A71)', () => {
  test('is asked when the first cannot be reached and something is missing; nobody is told of the failure', async () => {
    first().close();
    begin();
    const watcher = watch(CLUSTER, 'a');
    const stream = await second().nextStream();
    expect(await stream.next()).toMatchObject({ resource_names: ['a'], node: { id: 'node-1' } });
    await give(stream, CLUSTER, ['a'], 'second');
    expect(watcher.told).toEqual(['changed']);
  });

  test('is asked as well when the first ends its streams before any response', async () => {
    begin();
    watch(CLUSTER, 'a');
    (await first().nextStream()).fail(14, 'not today');
    expect(await (await second().nextStream()).next()).toMatchObject({ resource_names: ['a'] });
  });

  test('is not asked while everything is cached, what does not exist included', async () => {
    begin();
    const watcher = watch(CLUSTER, 'a');
    const missing = watch(CLUSTER, 'missing');
    const stream = await first().nextStream();
    await stream.next();
    await give(stream, CLUSTER, ['a'], 'first');
    await harness.clock.advance(15_000);
    expect(missing.told).toEqual(['failed: does-not-exist']);
    await kill(first());
    for (const wait of [1_000, 1_600, 2_560]) {
      await until(() => harness.clock.pending === 1);
      await harness.clock.advance(wait);
    }
    expect(second().unread).toBe(0);
    expect(watcher.told).toEqual(['changed', 'ambient']);
  });

  test('is not asked because the first says nothing, or says no', async () => {
    begin();
    const watcher = watch(CLUSTER, 'a');
    const refused = watch(CLUSTER, 'b');
    const stream = await first().nextStream();
    await stream.next();
    stream.send({
      type_url: CLUSTER,
      version_info: 'v',
      nonce: 'n',
      resources: [packed(CLUSTER, { name: 'b', alt_stat_name: 'bad' })],
    });
    await stream.next();
    await harness.clock.advance(15_000);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(refused.told).toEqual(['failed: invalid']);
    expect(second().unread).toBe(0);
  });

  test('is asked for everything that is watched, and what it sends is used', async () => {
    begin();
    const watcher = watch(CLUSTER, 'a');
    const stream = await first().nextStream();
    await stream.next();
    await give(stream, CLUSTER, ['a'], 'first');
    await kill(first());
    await until(() => harness.clock.pending === 1);
    await harness.clock.advance(1_000);
    const other = watch(CLUSTER, 'b');
    const fallback = await second().nextStream();
    expect(await fallback.next()).toMatchObject({ resource_names: ['a', 'b'] });
    await give(fallback, CLUSTER, ['a', 'b'], 'second');
    expect(marks(watcher)).toEqual(['first', 'second']);
    expect(marks(other)).toEqual(['second']);
  });

  test('is not told a version of the first one: each server has its own notion of it', async () => {
    begin();
    watch(CLUSTER, 'a');
    const stream = await first().nextStream();
    await stream.next();
    await give(stream, CLUSTER, ['a'], 'v-first');
    watch(CLUSTER, 'b');
    await stream.next();
    await kill(first());
    await harness.clock.advance(1_000);
    const fallback = await second().nextStream();
    expect((await fallback.next()).version_info).toBeUndefined();
  });

  test('being out of reach as well, watchers hear of it: only once all are', async () => {
    first().close();
    begin();
    const watcher = watch(CLUSTER, 'a');
    const stream = await second().nextStream();
    expect(watcher.told).toEqual([]);
    stream.fail(14, 'nor I');
    await until(() => watcher.told.length > 0);
    expect(watcher.told).toEqual(['failed: unreachable']);
    expect(watcher.errors[0]?.message).toContain(`control plane ${second().uri}: `);
    const late = watch(CLUSTER, 'b');
    await until(() => late.told.length > 0);
    expect(late.told).toEqual(['failed: unreachable']);
  });

  test('makes a client ready when the first cannot be reached', async () => {
    first().close();
    begin();
    await harness.client.ready();
    await second().nextStream();
  });

  test('is left when nothing is watched any more', async () => {
    first().close();
    begin();
    const stop = harness.client.watch(CLUSTER, 'a', new Recorder());
    const stream = await second().nextStream();
    await stream.next();
    stop();
    await stream.ended;
  });
});

describe.each(['AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC', 'GRPC', 'DELTA_GRPC'] as const)(
  'the first server, back again (%s)',
  (apiType) => {
    const isDelta = apiType.includes('DELTA');

    /** The first has given a and then died; b is missing; the second has given both. */
    async function fallenBack() {
      begin(apiType);
      const a = watch(CLUSTER, 'a');
      const stream = await first().nextStream();
      await stream.next();
      await give(stream, CLUSTER, ['a'], 'first');
      const b = watch(CLUSTER, 'b');
      await stream.next();
      const revive = await kill(first());
      await harness.clock.advance(1_000);
      const fallback = await second().nextStream();
      await fallback.next();
      await give(fallback, CLUSTER, ['a', 'b'], 'second');
      return { a, b, revive, fallback };
    }

    test('takes over with the first resource it delivers: the second is closed, its values stay until they are replaced', async () => {
      const { a, b, revive, fallback } = await fallenBack();
      await revive();
      await harness.clock.advance(1_600);
      const stream = await first().nextStream();
      const request = await stream.next();
      expect(request.resource_names ?? request.resource_names_subscribe).toEqual(['a', 'b']);
      expect(marks(a)).toEqual(['first', 'second']);
      await give(stream, CLUSTER, ['a'], 'third');
      await fallback.ended;
      expect(marks(a)).toEqual(['first', 'second', 'third']);
      expect(marks(b)).toEqual(['second']);
      expect(b.told).toEqual(['changed', ...(isDelta ? [] : ['ambient'])]);
    });

    test('is not told that the client has what another server has replaced since, so that it sends it again', async () => {
      const { revive } = await fallenBack();
      await revive();
      await harness.clock.advance(1_600);
      const request = await (await first().nextStream()).next();
      expect(request.version_info).toBeUndefined();
      expect(request.initial_resource_versions).toBeUndefined();
    });

    test('is asked anew for what it has not delivered when it takes over', async () => {
      const { revive } = await fallenBack();
      await revive();
      await harness.clock.advance(1_600);
      const stream = await first().nextStream();
      await stream.next();
      const ack = await give(stream, CLUSTER, ['a'], 'third');
      if (!isDelta) {
        expect(ack.resource_names).toEqual(['a']);
        expect((await stream.next()).resource_names).toEqual(['a', 'b']);
      } else expect(await stream.next()).toEqual({ type_url: CLUSTER, resource_names_subscribe: ['b'] });
    });

    test('does not take over with a word about what it does not have', async () => {
      const { a, b, revive, fallback } = await fallenBack();
      await revive();
      await harness.clock.advance(1_600);
      const stream = await first().nextStream();
      await stream.next();
      const resource_errors = ['a', 'b'].map((name) => ({ resource_name: { name }, error_detail: { code: 5 } }));
      stream.send({ type_url: CLUSTER, nonce: 'none', resource_errors });
      await stream.next();
      expect(b.told).toEqual(['changed']);
      await give(fallback, CLUSTER, ['a', 'b'], 'fourth');
      expect(marks(a).at(-1)).toBe('fourth');
    });

    test('is in charge again when the second goes too, and has answered meanwhile', async () => {
      const { a, revive } = await fallenBack();
      await revive();
      await harness.clock.advance(1_600);
      const stream = await first().nextStream();
      await stream.next();
      stream.send({ type_url: CLUSTER, nonce: 'none' });
      await stream.next();
      const c = watch(CLUSTER, 'c');
      await stream.next();
      await kill(second());
      await harness.clock.advance(1_000);
      await until(() => stream.unread > 0);
      await give(stream, CLUSTER, ['a', 'b', 'c'], 'fifth');
      expect(marks(a).at(-1)).toBe('fifth');
      expect(c.told).toEqual(['changed']);
    });
  },
);

describe('over several types', () => {
  test("a cluster of the first server's routes is not gone because the second does not know it, before that has sent its own", async () => {
    begin();
    const route = watch(ROUTE, 'r');
    const stream = await first().nextStream();
    await stream.next();
    await give(stream, ROUTE, ['r'], 'first');
    const cluster = watch(CLUSTER, 'of-first');
    await stream.next();
    await kill(first());
    await harness.clock.advance(1_000);
    const fallback = await second().nextStream();
    await fallback.next();
    await fallback.next();
    const missing = [{ resource_name: { name: 'of-first' }, error_detail: { code: 5, message: 'who?' } }];
    fallback.send({ type_url: CLUSTER, version_info: 'v', nonce: 'n', resource_errors: missing });
    await fallback.next();
    expect(cluster.told).toEqual([]);
    await give(fallback, ROUTE, ['r'], 'second');
    expect(route.told).toEqual(['changed', 'changed']);
    fallback.send({ type_url: CLUSTER, version_info: 'v', nonce: 'n', resource_errors: missing });
    await fallback.next();
    expect(cluster.told).toEqual(['failed: does-not-exist']);
  });

  test('such a cluster does not exist after 15 s all the same', async () => {
    begin();
    watch(LISTENER, 'l');
    const stream = await first().nextStream();
    await stream.next();
    await give(stream, LISTENER, ['l'], 'first');
    const cluster = watch(CLUSTER, 'of-first');
    await stream.next();
    await kill(first());
    await harness.clock.advance(1_000);
    const fallback = await second().nextStream();
    await fallback.next();
    await fallback.next();
    await until(() => harness.clock.pending > 1);
    await harness.clock.advance(15_000);
    expect(cluster.told).toEqual(['failed: does-not-exist']);
  });

  test('one resource of any type brings the first server back for all', async () => {
    first().close();
    const { port } = first();
    begin();
    const listener = watch(LISTENER, 'l');
    const route = watch(ROUTE, 'r');
    const fallback = await second().nextStream();
    await fallback.next();
    await fallback.next();
    await give(fallback, LISTENER, ['l'], 'second');
    await give(fallback, ROUTE, ['r'], 'second');
    planes[0] = await ScriptedXds.start(port);
    await harness.clock.advance(1_000);
    const stream = await first().nextStream();
    await stream.next();
    await stream.next();
    await give(stream, ROUTE, ['r'], 'first');
    await fallback.ended;
    expect(listener.told).toEqual(['changed']);
    expect(route.told.filter((told) => told === 'changed')).toHaveLength(2);
  });
});
