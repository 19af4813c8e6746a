import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { type BodyProducer, StreamBody } from '../../../src/core/body.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { ConnectionLostError } from '../../../src/client/transport/errors.js';
import { aReply } from '../../support/calls.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { aTarget } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.0.3:80';
const KINDS: readonly ClusterConfig['balancer'][] = [
  { kind: 'round_robin' },
  { kind: 'random' },
  { kind: 'least_request', choiceCount: 2 },
  { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 },
];

let client: ReturnType<typeof failoverClient>;
/** Tells of the endpoints; nobody has tried any of them. */
const use = async (endpoints: readonly string[], more: Partial<ClusterConfig> = {}): Promise<void> => {
  const first = client.call({ authority: 'other' }).catch(() => {});
  const config = aTarget([once()], [leveled('reviews', [endpoints], { balancer: { kind: 'round_robin' }, ...more })]);
  const call = client.call({ method: 'OPTIONS' }).catch(() => {});
  client.source.of('reviews').changed(config);
  await call;
  client.source.of('other').changed(aTarget([], []));
  await first;
  client.took();
};

/** A body that can be had once, and whether it was cancelled. */
const stream = () => {
  const cancelled: unknown[] = [];
  const producer: BodyProducer = { resume() {}, cancel: (reason) => void cancelled.push(reason) };
  const body = new StreamBody(producer);
  body.write(Buffer.from('once'));
  body.end();
  return { body, cancelled };
};

beforeEach(() => {
  client = failoverClient();
});

describe('an endpoint that cannot be reached, among others that can', () => {
  test.each(KINDS)('fails no call, without a retry policy: $kind', async (balancer) => {
    client.down.add(A);
    await use([A, B, C], { balancer });
    for (let i = 0; i < 300; i++) expect((await client.call()).status).toBe(200);
    expect(client.events.filter(({ kind }) => kind === 'retry')).toEqual([]);
  });

  test('is looked at once, and then passed over: others serve in equal shares', async () => {
    client.down.add(A);
    await use([A, B, C]);
    for (let i = 0; i < 20; i++) await client.call();
    client.took();
    for (let i = 0; i < 100; i++) await client.call();
    const took = client.took();
    expect(took.filter((key) => key === A)).toEqual([]);
    expect(took.filter((key) => key === B)).toHaveLength(50);
  });

  test('goes with the call to another within the same attempt: no retry is counted, no header tells of one', async () => {
    await use([A, B]);
    for (let i = 0; i < 4; i++) await client.call();
    client.down.add(A);
    client.sent.length = 0;
    await Promise.all([client.call(), client.call()]);
    expect(client.sent.map(({ endpoint }) => endpoint).sort()).toEqual([A, B, B]);
    for (const { call } of client.sent) {
      expect(call.attempt).toBe(1);
      expect(call.record.attempts).toBe(1);
      expect(call.record.endpoint).toBe(B);
      expect(call.record.flags).toBeUndefined();
      expect(call.headers).not.toHaveProperty('x-envoy-attempt-count');
      expect(call.headers).not.toHaveProperty('grpc-previous-rpc-attempts');
    }
  });

  test('is looked at once after its back-off of 1 s × 1.6, ± 20 %, at no call’s cost, and by nobody before', async () => {
    await use([A, B]);
    await client.call();
    await client.call();
    client.down.add(A);
    await Promise.all([client.call(), client.call()]);
    client.took();
    for (const ceiling of [1_000, 1_600, 2_560, 4_096]) {
      await client.clock.advance(ceiling * 0.79);
      for (let i = 0; i < 10; i++) await client.call();
      expect(client.looked()).toEqual([]);
      await client.clock.advance(ceiling * 0.42);
      await Promise.all(Array.from({ length: 10 }, () => client.call()));
      expect(client.looked()).toEqual([A]);
      expect(client.took()).not.toContain(A);
    }
  });

  test('serves again as soon as a look finds it there, and begins with 1 s when it goes again', async () => {
    await use([A, B]);
    client.down.add(A);
    for (let i = 0; i < 4; i++) await client.call();
    client.down.clear();
    await client.clock.advance(1_250);
    client.took();
    for (let i = 0; i < 20; i++) await client.call();
    expect(client.took().filter((key) => key === A).length).toBeGreaterThanOrEqual(9);
    client.down.add(A);
    for (let i = 0; i < 4; i++) await client.call();
    client.looked();
    await client.clock.advance(1_250);
    for (let i = 0; i < 4; i++) await client.call();
    expect(client.looked()).toEqual([A]);
  });

  test('that does not answer at all holds up no call: it is looked at beside them', async () => {
    await use([A, B]);
    client.down.add(A);
    for (let i = 0; i < 4; i++) await client.call();
    client.down.clear();
    client.silent.add(A);
    await client.clock.advance(1_250);
    client.took();
    for (let i = 0; i < 10; i++) expect((await client.call()).status).toBe(200);
    expect(client.looked()).toEqual([A]);
    await client.clock.advance(60_000);
    await client.call();
    expect(client.took()).not.toContain(A);
    // The one look has not ended yet.
    expect(client.looked()).toEqual([]);
  });

  test('an update of the endpoints does not forget it', async () => {
    await use([A, B]);
    client.down.add(A);
    for (let i = 0; i < 4; i++) await client.call();
    client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', [[A, B, C]])]));
    client.took();
    for (let i = 0; i < 30; i++) await client.call();
    expect(client.took()).not.toContain(A);
  });
});

test('a call whose time is up before one has failed to connect goes to no other', async () => {
  let refuse: (error: Error) => void = () => {};
  client = failoverClient({
    answer: (_, { method }) => (method === 'OPTIONS' ? aReply() : new Promise((_resolve, reject) => (refuse = reject))),
  });
  await use([A, B]);
  const call = client.call({ timeoutMs: 1_001 });
  call.catch(() => {});
  await settle();
  expect(client.took()).toHaveLength(1);
  // Deadlines fire up to 4 ms late.
  await client.clock.advance(1_002);
  refuse(new ConnectionLostError(A, 'test', 'no'));
  await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
  expect(client.took()).toEqual([]);
});

describe('when no endpoint can be reached', () => {
  test('the call fails at once with the last error, after each endpoint was tried once', async () => {
    client.down.add(A).add(B).add(C);
    const first = client.call({ protocol: 'grpc' });
    client.source.of('reviews').changed(aTarget([once()], [leveled('reviews', [[A, B, C]])]));
    const error = await first.catch((reason: unknown) => reason);
    const took = client.took();
    expect([...took].sort()).toEqual([A, B, C]);
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', grpcStatus: 14, endpoint: took[2] });
    expect(client.events.filter(({ kind }) => kind === 'retry')).toEqual([]);
  });

  test('later calls look at few, however many there are; the first that comes back is found', async () => {
    const many = Array.from({ length: 50 }, (_, i) => `10.0.1.${i}:80`);
    for (const key of many) client.down.add(key);
    await use(many);
    await expect(client.call()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(client.took()).toHaveLength(4);
    client.down.delete(many[7] as string);
    let calls = 1;
    while ((await client.call().catch(() => undefined)) === undefined) calls++;
    // The rotation comes by each once in 50 calls; a last resort, of which each call has three, may find it sooner.
    expect(calls).toBeLessThanOrEqual(50);
    for (let i = 0; i < 10; i++) await client.call();
  });

  test('a call that took as long as a connection may take waits for no other that is known to be dead', async () => {
    client.down.add(A).add(B);
    await use([A, B], { connectTimeoutMs: 1_000 });
    client.down.clear();
    client.silent.add(A).add(B);
    const call = client.call();
    call.catch(() => {});
    await settle();
    const [{ endpoint, call: sent }] = client.sent as [(typeof client.sent)[0]];
    await client.clock.advance(1_000);
    expect(client.took()).toEqual([endpoint]);
    sent.cancel(new ConnectionLostError(endpoint, 'test', 'no'));
    await expect(call).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(client.took()).toEqual([]);
  });
});

describe('a request body that can be had only once', () => {
  test('goes with the call to the next endpoint while none has read it', async () => {
    await use([A, B]);
    client.down.add(A).add(B);
    await client.call().catch(() => {});
    client.down.delete(B);
    for (let i = 0; i < 4; i++) {
      const { body, cancelled } = stream();
      expect((await client.call({ method: 'POST', body })).status).toBe(200);
      expect(cancelled).toEqual([]);
    }
  });

  test('is not heard to be cancelled by an endpoint that could not be reached, and is read by the one that could', async () => {
    const read: string[] = [];
    client = failoverClient({
      answer: (endpoint, { body }) => {
        if (endpoint === A) {
          const error = new ConnectionLostError(A, 'before the request was sent', 'no');
          body?.cancel(error);
          throw error;
        }
        body?.pipe({ write: (chunk) => read.push(String(chunk)) > 0, end() {}, fail() {} });
        return aReply();
      },
    });
    await use([A, B]);
    for (let i = 1; i <= 4; i++) {
      expect((await client.call({ method: 'POST', body: stream().body })).status).toBe(200);
      expect(read).toHaveLength(i);
    }
  });

  test('ends the call when an endpoint had begun to read it', async () => {
    client = failoverClient({
      answer: (endpoint, { body, method }) => {
        if (method === 'OPTIONS') return aReply();
        body?.pipe({ write: () => true, end() {}, fail() {} });
        throw new ConnectionLostError(endpoint, 'before the request was sent', 'no');
      },
    });
    await use([A, B]);
    const { body } = stream();
    await expect(client.call({ method: 'POST', body })).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    expect(client.took()).toHaveLength(1);
  });

  test('is cancelled when no endpoint takes it', async () => {
    await use([A, B]);
    client.down.add(A).add(B);
    const cancelled: unknown[] = [];
    const body = new StreamBody({ resume() {}, cancel: (reason) => void cancelled.push(reason) });
    await expect(client.call({ method: 'POST', body })).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    expect(cancelled).toHaveLength(1);
  });
});

test('whatever goes down and comes back: no call fails while one of three can be reached, none asks an endpoint twice', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), key: fc.constantFrom(A, B, C) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 30_000 }) }),
    fc.record({ kind: fc.constant('call' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...KINDS), fc.array(step, { maxLength: 60 }), async (balancer, steps) => {
      client = failoverClient();
      await use([A, B, C], { balancer });
      for (const one of steps) {
        if (one.kind === 'flip') {
          if (!client.down.delete(one.key)) client.down.add(one.key);
        } else if (one.kind === 'wait') await client.clock.advance(one.ms);
        else {
          const reply = await client.call().catch(() => undefined);
          const went = client.took();
          expect(reply !== undefined).toBe(client.down.size < 3);
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
