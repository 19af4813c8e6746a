import { createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { CLUSTER, ENDPOINT, LISTENER, ROUTE, type ResourceType } from '../../../src/core/resources.js';
import type { DiscoveryResponse } from '../../../src/xds/wire/index.js';
import { STALL_MS } from '../../../src/xds/client/updates.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import { type Harness, NO_FEATURES, packed, Recorder, start, until } from './harness.js';

let ads: ScriptedAds;
let harness: Harness;
const open: Harness[] = [];
const begin = (...args: Parameters<typeof start>): Harness => {
  harness = start(...args);
  open.push(harness);
  return harness;
};
beforeEach(async () => {
  ads = await ScriptedAds.start();
});
afterEach(async () => {
  for (const { client } of open.splice(0)) await client.close();
  ads.close();
});

const disconnections = (): number => harness.events.filter((event) => event.kind === 'xds:disconnected').length;

/** Sends the names as resources of the type, and takes the answer. */
let count = 0;
async function answer(stream: ScriptedStream, type: ResourceType, names: string[], more: DiscoveryResponse = {}) {
  const field = type === ENDPOINT ? 'cluster_name' : 'name';
  const resources = names.map((name) => packed(type, { [field]: name }));
  count++;
  stream.send({ type_url: type, version_info: `v${count}`, nonce: `n${count}`, resources, ...more });
  return stream.next();
}

describe('a resource that does not come (gRFC A57)', () => {
  test('does not exist 15 s after it was asked for, and comes to life when it arrives after all', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(LISTENER, 'nobody', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await until(() => clock.pending === 1);
    await clock.advance(14_999);
    expect(watcher.told).toEqual([]);
    await clock.advance(1);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
    expect(watcher.errors[0]?.message).toBe(
      `Listener "nobody": the control plane ${ads.uri} sent nothing for it in 15000 ms (node "node-1")`,
    );
    const late = new Recorder();
    client.watch(LISTENER, 'nobody', late);
    expect(late.told).toEqual(['failed: does-not-exist']);
    expect(client.dump().resources).toMatchObject([{ state: 'DOES_NOT_EXIST', version: '' }]);
    await answer(stream, LISTENER, ['nobody']);
    expect(watcher.told).toEqual(['failed: does-not-exist', 'changed']);
  });

  test.each([
    ['is there, and is used', true],
    ['is not there: the resource does not exist a second later', false],
  ])(
    'is not given up at the end of a wait in which the process stood still, before what came meanwhile is read: it %s',
    async (_, came) => {
      const fake = new FakeClock();
      let stoodStill = 0;
      const clock = { now: () => fake.now() + stoodStill, wallTime: () => 0, after: fake.after.bind(fake) };
      const { client } = begin(ads.uri, {}, { clock });
      const watcher = new Recorder();
      client.watch(LISTENER, 'l', watcher);
      const stream = await ads.nextStream();
      await stream.next();
      await until(() => fake.pending === 1);
      stoodStill = 60_000;
      await fake.advance(15_000);
      expect(watcher.told).toEqual([]);
      if (came) await answer(stream, LISTENER, ['l']);
      await fake.advance(STALL_MS);
      expect(watcher.told).toEqual([came ? 'changed' : 'failed: does-not-exist']);
    },
  );

  test('is waited for only once the request has left on a live connection', async () => {
    let connect = (): void => {};
    const { client, clock } = begin(
      '127.0.0.1:1',
      {},
      {
        transport: async () => (_path, handlers) => {
          let written: (() => void)[] = [];
          connect = () => {
            handlers.connected();
            for (const tell of written) tell();
            written = [];
          };
          return { send: (_bytes, tell) => written.push(tell), read() {}, close() {} };
        },
      },
    );
    const watcher = new Recorder();
    client.watch(LISTENER, 'l', watcher);
    await until(() => clock.pending === 1);
    await clock.advance(19_000);
    expect(watcher.told).toEqual([]);
    connect();
    await clock.advance(14_999);
    expect(watcher.told).toEqual([]);
    await clock.advance(1);
    expect(watcher.told).toEqual(['failed: does-not-exist']);
  });

  test('is waited for anew after a reconnect, and what is cached is not', async () => {
    const { client, clock } = begin(ads.uri);
    const missing = new Recorder();
    const cached = new Recorder();
    client.watch(CLUSTER, 'missing', missing);
    client.watch(CLUSTER, 'cached', cached);
    const first = await ads.nextStream();
    await first.next();
    await answer(first, CLUSTER, ['cached']);
    await clock.advance(14_000);
    first.end();
    await until(() => disconnections() === 1);
    await clock.advance(0);
    const second = await ads.nextStream();
    await second.next();
    await until(() => clock.pending === 1);
    await clock.advance(14_999);
    expect(missing.told).toEqual([]);
    await clock.advance(1);
    expect(missing.told).toEqual(['failed: does-not-exist']);
    expect(cached.told).toEqual(['changed']);
  });

  test('is a slow server for 30 s when the server has said that silence means that (gRFC A88)', async () => {
    const { client, clock } = begin(ads.uri, { features: { ...NO_FEATURES, resourceTimerIsTransientError: true } });
    const watcher = new Recorder();
    client.watch(LISTENER, 'l', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await until(() => clock.pending === 1);
    await clock.advance(29_999);
    expect(watcher.told).toEqual([]);
    await clock.advance(1);
    expect(watcher.told).toEqual(['failed: unreachable']);
    expect(client.dump().resources).toMatchObject([{ state: 'TIMEOUT' }]);
  });

  test('need not be waited for when the server says why (xRFC TP3)', async () => {
    const { client, clock } = begin(ads.uri);
    const recorders = ['none', 'forbidden', 'busy', 'other'].map((name) => {
      const recorder = new Recorder();
      client.watch(LISTENER, name, recorder);
      return recorder;
    });
    const stream = await ads.nextStream();
    await stream.next();
    await until(() => clock.pending === 4);
    const resource_errors = Object.entries({ none: 5, forbidden: 7, busy: 14, unasked: 5 }).map(([name, code]) => ({
      resource_name: { name },
      error_detail: { code, message: 'because' },
    }));
    expect((await answer(stream, LISTENER, [], { resource_errors })).error_detail).toBeUndefined();
    expect(recorders.map(({ told }) => told)).toEqual([
      ['failed: does-not-exist'],
      ['failed: invalid'],
      ['failed: unreachable'],
      [],
    ]);
    expect(recorders[0]?.errors[0]?.message).toBe(
      'Listener "none": the control plane has an error for it, status 5: because (node "node-1")',
    );
    expect(clock.pending).toBe(1);
    expect(client.dump().resources.map(({ state }) => state)).toEqual([
      'RECEIVED_ERROR',
      'RECEIVED_ERROR',
      'RECEIVED_ERROR',
      'REQUESTED',
    ]);
  });
});

describe('a resource that goes (gRFC A88)', () => {
  test.each([CLUSTER, LISTENER] as const)(
    '%s: absence from a response is deletion, and by default the last value stays',
    async (type) => {
      const { client } = begin(ads.uri);
      const watcher = new Recorder();
      client.watch(type, 'a', watcher);
      const stream = await ads.nextStream();
      await stream.next();
      await answer(stream, type, ['a']);
      for (let i = 0; i < 3; i++) expect((await answer(stream, type, [])).error_detail).toBeUndefined();
      expect(watcher.told).toEqual(['changed', 'ambient']);
      const late = new Recorder();
      client.watch(type, 'a', late);
      expect(late.told).toEqual(['changed', 'ambient']);
      await answer(stream, type, ['a']);
      expect(watcher.told).toEqual(['changed', 'ambient', 'changed']);
      expect(client.dump().resources).toMatchObject([{ state: 'ACKED', error: undefined }]);
    },
  );

  test('goes for good with fail_on_data_errors, and the same bytes bring it back', async () => {
    const { client } = begin(ads.uri, { features: { ...NO_FEATURES, failOnDataErrors: true } });
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, ['a']);
    await answer(stream, CLUSTER, []);
    await answer(stream, CLUSTER, ['a']);
    await answer(stream, CLUSTER, [], { resources: [packed(CLUSTER, { name: 'a', alt_stat_name: 'bad' })] });
    expect(watcher.told).toEqual(['changed', 'failed: does-not-exist', 'changed', 'failed: invalid']);
  });

  test.each([ENDPOINT, ROUTE] as const)('%s: absence says nothing', async (type) => {
    const { client } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(type, 'a', watcher);
    client.watch(type, 'b', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, type, ['a']);
    await answer(stream, type, ['b']);
    await answer(stream, type, []);
    expect(watcher.told).toEqual(['changed']);
  });

  test('is not taken for deleted while a resource without a name may be it', async () => {
    const { client } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, ['a']);
    const nack = await answer(stream, CLUSTER, [], { resources: [packed(CLUSTER, {})] });
    expect(nack.error_detail?.message).toBe('resources[0]: has no name');
    expect(watcher.told).toEqual(['changed']);
  });

  test('a never seen one that is absent is waited for: the response may be older than the question', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, []);
    expect(watcher.told).toEqual([]);
    expect(clock.pending).toBe(1);
  });
});

describe('a stream that ends', () => {
  test('before any response is a connectivity error, and is tried again after 1 s × 1.6 up to 120 s', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    const waits = [
      1_000, 1_600, 2_560, 4_096, 6_553.6, 10_485.76, 16_777.216, 26_843.5456, 42_949.67296, 68_719.476736,
    ];
    for (const wait of [...waits, 109_951.1627776, 120_000, 120_000]) {
      const stream = await ads.nextStream();
      await stream.next();
      const before = disconnections();
      stream.end();
      await until(() => disconnections() > before);
      await clock.advance(wait - 0.001);
      expect(clock.pending).toBe(1);
      await clock.advance(0.002);
    }
    await ads.nextStream();
    expect(watcher.told).toEqual(['failed: unreachable']);
    expect(watcher.errors[0]?.message).toBe(
      `Cluster "a": control plane ${ads.uri}: stream ended with gRPC status 0: OK (node "node-1")`,
    );
  });

  test('after a response is no error: nobody is told, it is opened again at once, and the backoff starts afresh', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    for (let i = 1; i <= 5; i++) {
      const stream = await ads.nextStream();
      await stream.next();
      await answer(stream, CLUSTER, ['a']);
      await clock.advance(60_000);
      stream.end();
      await until(() => disconnections() === i);
      await clock.advance(0);
    }
    const silent = await ads.nextStream();
    await silent.next();
    silent.end();
    await until(() => disconnections() === 6);
    expect(watcher.told).toEqual(['changed', 'ambient']);
    await clock.advance(1_000);
    await ads.nextStream();
  });

  test('is logged when an outage begins and every five minutes while it lasts, not at each attempt; so is its end, and the next one', async () => {
    const warned: string[] = [];
    const logger = { ...silentLogger, warn: (message: string) => void warned.push(message) };
    const { client, clock } = begin(ads.uri, {}, { logger });
    client.watch(CLUSTER, 'a', new Recorder());
    const fail = async (afterMs: number): Promise<void> => {
      const stream = await ads.nextStream();
      await stream.next();
      await clock.advance(afterMs);
      const before = disconnections();
      stream.end();
      await until(() => disconnections() > before);
      client.resetBackoff();
    };
    for (let i = 0; i < 5; i++) await fail(10);
    expect(warned).toEqual(['the control plane cannot be reached; what is cached stays in use']);
    await fail(300_000);
    expect(warned).toHaveLength(2);
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, ['a']);
    stream.end();
    await until(() => disconnections() === 7);
    expect(warned.slice(2)).toEqual(['the control plane is heard of again']);
    await clock.advance(1_000);
    await fail(0);
    expect(warned).toHaveLength(4);
  });

  test('is opened again at once when what was in the way may be gone, and one that stands is left alone', async () => {
    const { client, clock } = begin(ads.uri);
    client.watch(CLUSTER, 'a', new Recorder());
    for (let i = 1; i <= 8; i++) {
      const stream = await ads.nextStream();
      await stream.next();
      client.resetBackoff();
      stream.end();
      await until(() => disconnections() === i);
      client.resetBackoff();
    }
    const stream = await ads.nextStream();
    await stream.next();
    stream.end();
    await until(() => disconnections() === 9);
    // And waits as after a first failure.
    await clock.advance(1_000);
    await ads.nextStream();
  });

  test('after a response again and again is opened no more than once a second', async () => {
    const { client, clock } = begin(ads.uri);
    client.watch(CLUSTER, 'a', new Recorder());
    const stream = await ads.nextStream();
    await stream.next();
    await answer(stream, CLUSTER, ['a']);
    stream.end();
    await until(() => disconnections() === 1);
    await clock.advance(999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await ads.nextStream();
  });

  test('leaves what works working while the server is gone, and goes on where it was when it is back', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    const unknown = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    client.watch(LISTENER, 'nobody', unknown);
    const first = await ads.nextStream();
    await first.next();
    await first.next();
    await answer(first, CLUSTER, ['a']);
    await answer(first, LISTENER, [], {
      resource_errors: [{ resource_name: { name: 'nobody' }, error_detail: { code: 5 } }],
    });
    ads.close();
    await until(() => disconnections() === 1);
    await clock.advance(1_000);
    await until(() => watcher.told.length === 2);
    expect(watcher.told).toEqual(['changed', 'ambient']);
    expect(watcher.errors[0]?.message).toMatch(/^Cluster "a": control plane .*gRPC status 14: .*ECONNREFUSED/);
    // That it does not exist stands as well: a call that was passed through to DNS still is.
    expect(unknown.told).toEqual(['failed: does-not-exist']);
    const late = new Recorder();
    client.watch(CLUSTER, 'a', late);
    expect(late.told).toEqual(['changed', 'ambient']);

    const { port } = ads;
    ads = await ScriptedAds.start(port);
    await clock.advance(1_600);
    const second = await ads.nextStream();
    expect(await second.next()).toMatchObject({ version_info: expect.stringMatching(/^v/), resource_names: ['a'] });
  });

  test('while its last response is dealt with: what it brought counts, and is the version on the next stream', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    const first = await ads.nextStream();
    await first.next();
    first.send({ type_url: CLUSTER, version_info: 'last', nonce: 'n', resources: [packed(CLUSTER, { name: 'a' })] });
    first.end();
    await until(() => disconnections() === 1);
    expect(watcher.told).toEqual(['changed']);
    await clock.advance(1_000);
    expect(await (await ads.nextStream()).next()).toMatchObject({ version_info: 'last' });
  });
});

describe('a connection', () => {
  test('that is accepted and then silent is given up after 20 s', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => {}).resume()));
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const address = silent.address() as { port: number };
    const { client, clock } = begin(`127.0.0.1:${address.port}`);
    const watcher = new Recorder();
    client.watch(CLUSTER, 'a', watcher);
    await until(() => sockets.length === 1);
    await clock.advance(20_000);
    expect(watcher.told).toEqual(['failed: unreachable']);
    expect(watcher.errors[0]?.message).toMatch(/not connected after 20000 ms/);
    await client.close();
    await until(() => sockets.every((socket) => socket.destroyed));
    silent.close();
  });

  test('is told of by ready, which opens it if nobody else has', async () => {
    const { client, events } = begin(ads.uri);
    await client.ready();
    expect(events).toEqual([{ kind: 'xds:connected', server: ads.uri }]);
    await ads.nextStream();
  });

  test('is gone after close, with every timer and socket, and late watchers are told so', async () => {
    const { client, clock } = begin(ads.uri);
    const watcher = new Recorder();
    const stop = client.watch(CLUSTER, 'a', watcher);
    const stream = await ads.nextStream();
    await stream.next();
    await until(() => clock.pending === 1);
    await client.close();
    await client.close();
    await stream.ended;
    expect(clock.pending).toBe(0);
    stop();
    client.watch(CLUSTER, 'b', watcher);
    expect(watcher.told).toEqual(['failed: unreachable']);
    ads.close();
    await until(() => !process.getActiveResourcesInfo().some((kind) => /TCPSocket|TCPServer/.test(kind)));
  });

  test('that never came is an error of ready once close was called', async () => {
    const { client, clock } = begin('127.0.0.1:1');
    const ready = client.ready();
    await until(() => clock.pending === 1);
    await client.close();
    await expect(ready).rejects.toThrow(/mesh\.close\(\) was called/);
    expect(clock.pending).toBe(0);
  });
});
