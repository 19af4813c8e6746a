import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { LimitState, LimitStore } from '../../../../src/core/limits.js';
import type { LimitLease } from '../../../../src/core/model/limit.js';
import { FakeClock, settle } from '../../../support/fake-clock.js';
import { freePort, hasRedis, RedisServer, until } from '../../../support/redis.js';
import { perYear, REF, storesOf } from './support.js';

const TIMEOUT_MS = 50;
const LEASE: LimitLease = { maxPermits: 8, ttlMs: 10_000 };
const LIMIT = perYear(1_000_000);

const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A store whose waits go by a clock that the test moves; connecting goes by the system's. */
function open(url: string, clock: FakeClock, lease?: LimitLease): LimitStore {
  const store = storesOf(url, { clock }).open({ ...REF, timeoutMs: TIMEOUT_MS, ...(lease && { lease }) });
  closing.push(() => store.close());
  return store;
}

/** How a take ends, and the clock's time when it does. */
function watch(clock: FakeClock, answer: LimitState | Promise<LimitState>): { ended: string | undefined } {
  const seen: { ended: string | undefined } = { ended: undefined };
  Promise.resolve(answer).then(
    ({ allowed }) => (seen.ended = `${allowed} at ${clock.now()}`),
    (error: Error) => (seen.ended = `${error.message} at ${clock.now()}`),
  );
  return seen;
}

async function start(args: readonly string[] = []): Promise<RedisServer> {
  const redis = await RedisServer.start(args);
  closing.push(() => redis.stop());
  return redis;
}

/** Tries again, as calls do, until Redis lets one through. */
const answers = (store: LimitStore, clock: FakeClock): Promise<void> =>
  until(async () => {
    // Reconnecting waits for the clock.
    await clock.advance(2_000);
    return Promise.resolve(store.take('k', LIMIT, 1)).then(
      ({ allowed }) => allowed,
      () => false,
    );
  }, 'Redis answers again');

/** Accepts connections and does with them what the test says. */
async function listen(serve: (socket: Socket) => void): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return server;
}

const portOf = (server: Server): number => (server.address() as { readonly port: number }).port;

describe.each([
  ['each call asks', undefined],
  ['with leases', LEASE],
] as const)('without Redis, %s', (_, lease) => {
  it('a connection that is refused fails the calls that wait for it, and those that come later at once', async () => {
    const clock = new FakeClock();
    const store = open(`redis://127.0.0.1:${await freePort()}`, clock, lease);
    const first = watch(clock, store.take('k', LIMIT, 1));
    await until(async () => {
      await settle();
      return first.ended !== undefined;
    }, 'the first attempt fails');
    expect(first.ended).toMatch(
      /^redis "default" \(127\.0\.0\.1:\d+\): not connected: connect ECONNREFUSED .* at 1000$/,
    );
    await expect(store.take('k', LIMIT, 1)).rejects.toThrow('ECONNREFUSED');
  });

  it('a server that accepts and says nothing holds a call no longer than the declared wait', async () => {
    const clock = new FakeClock();
    const server = await listen(() => {});
    const store = open(`redis://127.0.0.1:${portOf(server)}`, clock, lease);
    const taken = watch(clock, store.take('k', LIMIT, 1));
    await clock.advance(TIMEOUT_MS - 1);
    expect(taken.ended).toBeUndefined();
    await clock.advance(1);
    expect(taken.ended).toBe(
      `redis "default" (127.0.0.1:${portOf(server)}): no answer within 50 ms (timeout of the store) at 1050`,
    );
    await store.close();
    expect(clock.pending).toBe(0);
  });

  it('a server that ends each connection is tried again and again, and calls fail meanwhile', async () => {
    const clock = new FakeClock();
    let connections = 0;
    const server = await listen((socket) => {
      connections++;
      socket.end();
    });
    const store = open(`redis://127.0.0.1:${portOf(server)}`, clock, lease);
    await until(async () => {
      await clock.advance(2_000);
      return connections >= 3;
    }, 'three attempts');
    await expect(Promise.resolve().then(() => store.take('k', LIMIT, 1))).rejects.toThrow('redis "default"');
  });

  describe.skipIf(!hasRedis())('that was there before', () => {
    async function answering(): Promise<{ redis: RedisServer; store: LimitStore; clock: FakeClock }> {
      const redis = await start();
      const clock = new FakeClock();
      const store = open(redis.url, clock, lease);
      expect((await store.take('k', LIMIT, 1)).allowed).toBe(true);
      return { redis, store, clock };
    }

    it('stalled: calls give up when their wait is over, and are answered when it goes on', async () => {
      const { redis, store, clock } = await answering();
      redis.stall();
      const taken = [1, 2, 3].map((key) => watch(clock, store.take(`new ${key}`, LIMIT, 1)));
      await clock.advance(TIMEOUT_MS);
      for (const { ended } of taken) expect(ended).toMatch(/no answer within 50 ms .* at 1050$/);
      redis.goOn();
      await answers(store, clock);
    });

    it('stalled: what it takes afterwards, for calls that went on without, is given back', async () => {
      const { redis, store, clock } = await answering();
      redis.stall();
      const taken = watch(clock, store.take('late', LIMIT, 7));
      await clock.advance(TIMEOUT_MS);
      expect(taken.ended).toContain('no answer');
      redis.goOn();
      const key = `inmesh:calendar:year:UTC:late`;
      await until(async () => (await redis.admin.get(key))?.endsWith(' 0') === true, 'seven are given back');
    });

    it('killed and started again: calls fail at once, then it is used again', async () => {
      const { redis, store, clock } = await answering();
      await redis.kill();
      await until(
        () =>
          Promise.resolve(store.take(`new ${clock.now()}`, LIMIT, 1)).then(
            () => false,
            ({ message }: Error) => message.includes('not connected'),
          ),
        'it is missed',
      );
      const later = watch(clock, store.take('another', LIMIT, 1));
      await settle();
      // No waiting: the clock stands still.
      expect(later.ended).toContain('not connected');
      await redis.resume();
      await answers(store, clock);
    });

    it('lost on the way: a connection on which nothing comes any more is replaced', async () => {
      const redis = await start();
      const clock = new FakeClock();
      let swallow = false;
      const middle = await listen((socket) => {
        const mine = connect(redis.port, '127.0.0.1').on('error', () => {});
        socket.on('data', (bytes) => swallow || mine.write(bytes)).on('close', () => mine.destroy());
        mine.on('data', (bytes) => swallow || socket.write(bytes));
      });
      const store = open(`redis://127.0.0.1:${portOf(middle)}`, clock, lease);
      expect((await store.take('k', LIMIT, 1)).allowed).toBe(true);
      swallow = true;
      const taken = watch(clock, store.take('new', LIMIT, 1));
      await clock.advance(TIMEOUT_MS);
      expect(taken.ended).toContain('no answer');
      middle.once('connection', () => {
        swallow = false;
      });
      await answers(store, clock);
      expect(swallow).toBe(false);
    });

    it('a store that is closed while calls wait lets go of them, and of everything else', async () => {
      const { redis, store, clock } = await answering();
      redis.stall();
      const taken = watch(clock, store.take('new', LIMIT, 1));
      const closed = store.close();
      await clock.advance(TIMEOUT_MS);
      await closed;
      redis.goOn();
      expect(taken.ended).toBeDefined();
      await settle();
      expect(clock.pending).toBe(0);
    });
  });
});

it('a name that nobody configured is told with the remedy', async () => {
  const stores = storesOf('redis://127.0.0.1:1');
  const store = stores.open({ ...REF, name: 'counters' });
  await expect(store.take('k', LIMIT, 1)).rejects.toThrow(
    'no Redis is called "counters": give meshClient({ redis: { "counters": url } })',
  );
});
