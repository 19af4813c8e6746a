import { afterEach, describe, expect, test } from 'vitest';
import type { Caller, CallerOf } from '../../src/server/caller.js';
import { EchoGrpc, FRAMEWORKS } from '../support/inbound-servers.js';

/** What the query builders of some libraries return: it can be awaited, as can what its `then` returns, and neither is a Promise. */
class Query<T> implements PromiseLike<T> {
  constructor(private readonly promise: Promise<T>) {}

  // biome-ignore lint/suspicious/noThenProperty: that it has one is what is tested.
  then<A = T, B = never>(
    found?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): PromiseLike<A | B> {
    return new Query(this.promise.then(found, failed));
  }
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** Of one server: those that are given the same object count together. */
const quota = () => ({ requests: 1, perMs: 60_000, key: [{ identity: true as const }] });
const named = (principal: string): Caller => ({ principal });

describe.each(Object.entries(FRAMEWORKS))('%s: a caller found by a thenable of another library', (_, framework) => {
  async function start(caller: CallerOf) {
    const { port, close } = await framework(() => {}, { limits: quota(), caller });
    closing.push(close);
    return async (user: string): Promise<number> =>
      (await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-user': user } })).status;
  }

  test('is waited for, and counted by', async () => {
    const ask = await start(({ headers }) => new Query(Promise.resolve(named(String(headers['x-user'])))));
    expect([await ask('ann'), await ask('bob'), await ask('ann')]).toEqual([200, 200, 429]);
  });

  test('is nobody in particular when that fails', async () => {
    const ask = await start(() => new Query(Promise.reject(new Error('no such user'))));
    expect([await ask('ann'), await ask('bob')]).toEqual([200, 429]);
  });
});

test('grpc-js: a caller that is found by a thenable of another library is waited for', async () => {
  let handled = 0;
  const server = await EchoGrpc.start(() => handled++, { caller: () => new Query(Promise.resolve(named('ann'))) });
  closing.push(() => server.close());
  await server.unary();
  expect(handled).toBe(1);
});
