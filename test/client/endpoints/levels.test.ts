import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { FAILOVER_MS } from '../../../src/client/endpoints/level.js';
import type { TransportOptions } from '../../../src/core/transport.js';
import { OpenReply } from '../../support/calls.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { aTarget } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.1.1:80';
const D = '10.0.1.2:80';
const E = '10.0.2.1:80';

let client: ReturnType<typeof failoverClient>;
const use = async (...levels: string[][]): Promise<void> => {
  if (!client.source.watchers.has('reviews')) {
    const first = client.call({ method: 'OPTIONS' });
    client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', levels)]));
    await first.catch(() => {});
    client.took();
  } else client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', levels)]));
};

beforeEach(() => {
  client = failoverClient();
});

describe('A56: the priorities of a cluster', () => {
  test('the first serves; the second gets nothing, not even a connection, while it can', async () => {
    await use([A, B], [C]);
    for (let i = 0; i < 30; i++) await client.call();
    expect(new Set(client.took())).toEqual(new Set([A, B]));
    expect(client.opened.some((opened) => opened.includes(C))).toBe(false);
  });

  test('a call that cannot connect to the first goes on to the second and does not fail; the next ones go there at once', async () => {
    client.down.add(A).add(B);
    const first = client.call();
    client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', [[A, B], [C]])]));
    expect((await first).status).toBe(200);
    const tried = client.took();
    expect([...tried.slice(0, 2)].sort()).toEqual([A, B]);
    expect(tried[2]).toBe(C);
    for (let i = 0; i < 5; i++) await client.call();
    expect(client.took()).toEqual([C, C, C, C, C]);
    expect(client.events.filter(({ kind }) => kind === 'retry')).toEqual([]);
  });

  test('one endpoint of several that fails does not give up the level: the call goes to another of it', async () => {
    client.down.add(A);
    await use([A, B], [C]);
    for (let i = 0; i < 10; i++) await client.call();
    expect(client.took()).not.toContain(C);
  });

  test('the higher level is looked at once in a back-off, at no call’s cost', async () => {
    await use([A], [C]);
    client.down.add(A);
    await client.call();
    expect(client.took()).toEqual([A, C]);
    // 1 s ± 20 %, then × 1.6.
    await client.clock.advance(1_250);
    const replies = await Promise.all([client.call(), client.call(), client.call()]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(client.looked()).toEqual([A]);
    await client.clock.advance(1_250);
    await client.call();
    expect(client.looked()).toEqual([]);
    await client.clock.advance(700);
    await client.call();
    expect(client.looked()).toEqual([A]);
    expect(client.took()).toEqual([C, C, C, C, C]);
  });

  test('the back-off grows to 120 s and no further', async () => {
    await use([A], [C]);
    client.down.add(A);
    await client.call();
    let last = client.clock.now();
    const waits: number[] = [];
    client.took();
    for (let i = 0; i < 20_000 && waits.length < 16; i++) {
      await client.clock.advance(100);
      await client.call();
      if (!client.looked().includes(A)) continue;
      waits.push(client.clock.now() - last);
      last = client.clock.now();
    }
    for (const [i, wait] of waits.entries()) {
      const expected = Math.min(120_000, 1_000 * 1.6 ** i);
      expect(wait).toBeGreaterThanOrEqual(expected * 0.8);
      expect(wait).toBeLessThanOrEqual(expected * 1.2 + 100);
    }
    expect(waits.length).toBe(16);
  });

  test('when the higher level has come back, everything goes there', async () => {
    await use([A, B], [C]);
    client.down.add(A).add(B);
    await client.call();
    client.down.clear();
    await client.clock.advance(1_250);
    // The first finds out; it does not wait for that.
    await client.call();
    client.took();
    for (let i = 0; i < 20; i++) await client.call();
    expect(client.took()).not.toContain(C);
  });

  test('when one endpoint of a level is back all others are looked at, 64 in 10 ms, before their back-off is over', async () => {
    const near = Array.from({ length: 150 }, (_, i) => `10.1.0.${i}:80`);
    await use(near, [C]);
    for (const key of near) client.down.add(key);
    // Each is tried by some call, and fails; back-offs differ by some jitter, and grow.
    let tried = near;
    while (tried.length > 0) {
      await client.call();
      tried = client.took().filter((key) => near.includes(key));
    }
    for (let i = 0; i < 20; i++) {
      await client.clock.advance(1_000);
      await client.call();
    }
    client.down.clear();
    client.looked();
    let first = 0;
    while (first === 0) {
      await client.clock.advance(100);
      await client.call();
      first = client.looked().length;
    }
    expect(first).toBeLessThan(64);
    const goes: number[] = [];
    for (let i = 0; i < 4; i++) {
      await client.call();
      goes.push(client.looked().length);
      await client.clock.advance(10);
    }
    expect(goes).toEqual([64, 64, 150 - first - 128, 0]);
    client.took();
    for (let i = 0; i < 1_000; i++) await client.call();
    expect(new Set(client.took()).size).toBe(150);
  });

  test('where nobody can serve each level is tried once, from the top, so that whichever comes back first is found at once', async () => {
    await use([A], [C], [E]);
    client.down.add(A).add(C).add(E);
    await expect(client.call()).rejects.toMatchObject({ code: 'CONNECT_FAILED', endpoint: E });
    expect(client.took()).toEqual([A, C, E]);
    await expect(client.call()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(client.took()).toEqual([A, C, E]);
    client.down.delete(C);
    expect((await client.call()).status).toBe(200);
    expect(client.took()).toEqual([A, C]);
    await client.call();
    expect(client.took()).toEqual([C]);
  });

  test('a level that connects is waited for, up to 10 s; then the next one serves', async () => {
    client.silent.add(A);
    const waiting = client.call();
    client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', [[A], [C]])]));
    await client.clock.advance(FAILOVER_MS - 100);
    const second = client.call();
    expect(client.took()).toEqual([A, A]);
    await client.clock.advance(200);
    await Promise.all([client.call(), client.call(), client.call()]);
    expect(client.took()).toEqual([C, C, C]);
    expect(client.looked()).toEqual([A]);
    for (const pending of [waiting, second]) pending.catch(() => {});
    await client.destinations.close();
  });

  test('nobody waits longer than that for a connection where another level can serve', async () => {
    const limits: [string, number][] = [];
    const open = (options: TransportOptions) => {
      limits.push([options.endpoint.key, options.connectTimeoutMs]);
      return client.env.transports.http1(options);
    };
    const other = failoverClient({ env: { transports: { http1: open, http2: open } } });
    // Its transports are those of `client`, which refuse.
    client.down.add(A);
    const call = other.call();
    const cluster = leveled('reviews', [[A], [C]], { connectTimeoutMs: 30_000 });
    other.source.of('reviews').changed(aTarget([once()], [cluster]));
    await call;
    expect(limits).toEqual([
      [A, FAILOVER_MS],
      [C, 30_000],
    ]);
  });

  test('a newcomer in a level that cannot be reached is looked at with the next call, and serves those after it', async () => {
    await use([A], [C]);
    client.down.add(A);
    await client.call();
    client.took();
    await use([A, B], [C]);
    await client.call();
    expect(client.looked()).toEqual([B]);
    client.took();
    for (let i = 0; i < 10; i++) await client.call();
    expect(client.took()).toEqual(Array(10).fill(B));
  });

  test('endpoints that move to another priority take with them what is known of them', async () => {
    await use([A], [C]);
    client.down.add(A);
    await client.call();
    client.took();
    await use([C], [A]);
    await client.call();
    expect(client.took()).toEqual([C]);
  });

  test('an endpoint that serves keeps its level though one more connection to it fails', async () => {
    const open = new OpenReply();
    client = failoverClient({ answer: () => open });
    await use([A], [C]);
    client.down.add(A);
    expect((await client.call()).status).toBe(200);
    expect(client.took()).toEqual([A, C]);
    client.down.clear();
    await client.call();
    expect(client.took()).toEqual([A]);
    open.finish();
  });

  test('leaves nothing behind', async () => {
    await use([A], [C]);
    client.down.add(A);
    await client.call();
    await client.destinations.close();
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  });
});

test('whatever goes down and comes back: no call fails while anybody can be reached, and none goes below a level that is READY', async () => {
  const keys = [[A, B], [C, D], [E]];
  const step = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), key: fc.constantFrom(A, B, C, D, E) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
    fc.record({ kind: fc.constant('call' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      client = failoverClient();
      await use(...keys);
      const cluster = client.destinations.clusters.list()[0];
      for (const one of steps) {
        if (one.kind === 'flip') {
          if (!client.down.delete(one.key)) client.down.add(one.key);
        } else if (one.kind === 'wait') await client.clock.advance(one.ms);
        else {
          /** As far as calls have found out. */
          const ready = new Set<string>();
          for (const { key, reach } of cluster?.endpoints ?? []) if (reach === 'reached') ready.add(key);
          const reply = await client.call().catch(() => undefined);
          const went = client.took();
          expect(reply !== undefined).toBe(keys.flat().some((key) => !client.down.has(key)));
          const top = keys.findIndex((level) => level.some((key) => ready.has(key)));
          const first = keys.findIndex((level) => level.includes(went[0] as string));
          if (top >= 0) expect(first).toBeLessThanOrEqual(top);
          // Nobody is asked twice by one call.
          expect(new Set(went).size).toBe(went.length);
        }
      }
      await client.destinations.close();
      client.env.deadlines.close();
      expect(client.clock.pending).toBe(0);
    }),
    { numRuns: 200 },
  );
});
