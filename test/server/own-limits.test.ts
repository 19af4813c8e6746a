import { describe, expect, test } from 'vitest';
import { DecodeError } from '../../src/core/decode.js';
import { headerFields } from '../../src/core/headers.js';
import { Inbound } from '../../src/server/inbound.js';
import { rateLimits, type RateLimitOptions } from '../../src/server/limits/options.js';
import { testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';

/** What is answered to a request for `path`; undefined: it is served. */
async function ask(inbound: Inbound, path = '/', method = 'GET'): Promise<number | undefined> {
  const view = {
    ...({ protocol: 'http', scheme: 'http', host: 'a', peer: '10.0.0.1', raw: {} } as const),
    ...{ method, path, headers: headerFields() },
  };
  const passage = await inbound.refusal(
    inbound.context({}, 'http', () => view),
    'http',
  );
  return passage?.status;
}

describe('limits of an application', () => {
  const once = (more: object): Inbound =>
    new Inbound({ clock: new FakeClock(), limits: { requests: 1, perMs: 60_000, ...more } });

  test.each(['/LOGIN', '/login/', '/login//', '/%6cogin', '/Login/?next=/', '/login#top', '/login;v=1'])(
    'for /login are for %s as well, which a framework may serve with the same handler',
    async (other) => {
      const inbound = once({ when: { path: '/Login' } });
      expect([await ask(inbound, '/login'), await ask(inbound, other)]).toEqual([undefined, 429]);
      const below = once({ when: { pathPrefix: '/login/' } });
      expect([await ask(below, '/login'), await ask(below, other)]).toEqual([undefined, 429]);
      const each = once({ key: [{ path: true }] });
      expect([await ask(each, '/login'), await ask(each, other)]).toEqual([undefined, 429]);
    },
  );

  test('for /login are for no other path', async () => {
    const inbound = once({ requests: 0, when: { path: '/login' } });
    for (const other of ['/', '/log', '/login/7', '/loginx', '/%zz', '*'])
      expect(await ask(inbound, other)).toBe(undefined);
  });

  test('find overrides of a path however it is written', async () => {
    const inbound = once({ key: [{ path: true }], overrides: [{ values: ['/Big/'], requests: 2, perMs: 60_000 }] });
    expect([await ask(inbound, '/big'), await ask(inbound, '/BIG'), await ask(inbound, '/big/')]).toEqual([
      undefined,
      undefined,
      429,
    ]);
  });

  test('leave the parameters of a query as they are written', async () => {
    const inbound = once({ key: [{ query: 'Who' }] });
    const asked = [];
    for (const path of ['/?Who=Ann', '/?Who=ann', '/A?Who=ann']) asked.push(await ask(inbound, path));
    expect(asked).toEqual([undefined, undefined, 429]);
  });

  test('in Redis need a name: by its place two services would count together', () => {
    const unnamed: RateLimitOptions = [{ requests: 1, perMs: 1_000, redis: 'default' }];
    expect(() => rateLimits(unnamed, 'server-1')).toThrow(
      new DecodeError(
        'limits[0].name',
        'must be set with redis: rules of one name count together, in all services that use it',
      ),
    );
    expect(rateLimits([{ ...unnamed[0], name: 'orders' } as never], 'server-1').rules[0]?.name).toBe('orders');
  });

  test('are those of each mesh by itself, though the options are the same object', async () => {
    const limits: RateLimitOptions = { requests: 1, perMs: 10_000, queue: { maxWaitMs: 60_000, maxLength: 1 } };
    const first = testMesh({ services: {}, clock: new FakeClock() });
    const one = new Inbound({ mesh: first, limits });
    expect(await ask(one)).toBe(undefined);
    await first.close();
    const clock = new FakeClock();
    const second = testMesh({ services: {}, clock });
    const two = new Inbound({ mesh: second, limits });
    const again = new Inbound({ mesh: second, limits });
    expect(await ask(two)).toBe(undefined);
    const waiting = ask(again);
    await clock.advance(10_000);
    expect(await waiting).toBe(undefined);
    await second.close();
  });
});
