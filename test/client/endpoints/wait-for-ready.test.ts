import { beforeEach, describe, expect, test } from 'vitest';
import { type BodyProducer, StreamBody } from '../../../src/core/body.js';
import type { CallInit } from '../../../src/core/call.js';
import { CancelledError, ConfigUnavailableError, type MeshError } from '../../../src/core/errors.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { aCall } from '../../support/calls.js';
import { failoverClient, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aRoute, aForward } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';

const route = once();
let client: ReturnType<typeof failoverClient>;

/** The configuration from now on; the routes stay the same object. */
const use = (states: Record<string, ClusterConfig | AggregateClusterConfig | MeshError>, to = route): void => {
  const config: TargetConfig = { authority: 'reviews', routes: [to], clusters: new Map(Object.entries(states)) };
  client.source.of('reviews').changed(config);
};
const trouble = () => new ConfigUnavailableError('CDS says no');
const wait = (init: Partial<CallInit> = {}) => {
  const call = client.call({ waitForReady: true, ...init });
  let done = false;
  call.then(
    () => (done = true),
    () => (done = true),
  );
  return {
    call,
    isWaiting: async (): Promise<boolean> => {
      for (let i = 0; i < 5; i++) await settle();
      return !done;
    },
  };
};

beforeEach(() => {
  client = failoverClient();
});

describe('a call that waits for ready, to a cluster in trouble', () => {
  test('waits until the cluster is there, while others fail at once', async () => {
    const { call, isWaiting } = wait();
    use({ reviews: trouble() });
    expect(await isWaiting()).toBe(true);
    await expect(client.call()).rejects.toThrow('CDS says no');
    use({ reviews: aCluster('reviews', [A]) });
    expect((await call).status).toBe(200);
    expect(client.took()).toEqual([A]);
  });

  test('goes on by the routes that there are by then', async () => {
    const { call, isWaiting } = wait();
    use({ reviews: trouble() });
    expect(await isWaiting()).toBe(true);
    use({ other: aCluster('other', [B]) }, aRoute({ action: aForward({ other: 1 }) }));
    expect((await call).status).toBe(200);
    expect(client.took()).toEqual([B]);
  });

  test('waits no longer than its deadline, and not beyond the mesh', async () => {
    const timed = wait({ timeoutMs: 500 });
    const endless = wait();
    use({ reviews: trouble() });
    expect(await timed.isWaiting()).toBe(true);
    await client.clock.advance(700);
    await expect(timed.call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(await endless.isWaiting()).toBe(true);
    await client.destinations.close();
    await expect(endless.call).rejects.toMatchObject({ code: 'MESH_CLOSED' });
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  });
});

describe('a call that waits for ready, to endpoints that cannot be reached', () => {
  test('looks again by itself when their back-off is over, and is served when one is back', async () => {
    client.down.add(A).add(B);
    const { call, isWaiting } = wait();
    use({ reviews: aCluster('reviews', [A, B]) });
    expect(await isWaiting()).toBe(true);
    await expect(client.call()).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
    client.took();
    await client.clock.advance(700);
    expect(client.took()).toEqual([]);
    client.down.delete(B);
    await client.clock.advance(600);
    expect((await call).status).toBe(200);
    expect(client.took()).toContain(B);
  });

  test('many of them are no storm: one at a time looks, and all go on when it finds one', async () => {
    client.down.add(A);
    const calls = Array.from({ length: 50 }, () => wait());
    use({ reviews: aCluster('reviews', [A]) });
    for (const { isWaiting } of calls.slice(0, 3)) expect(await isWaiting()).toBe(true);
    client.took();
    await client.clock.advance(1_300);
    expect(client.took()).toEqual([A]);
    await client.clock.advance(10_000);
    expect(client.took().length).toBeLessThan(8);
    client.down.delete(A);
    await client.clock.advance(30_000);
    for (const { call } of calls) expect((await call).status).toBe(200);
  });

  test('goes on at once when another call has reached one, or the endpoints are others', async () => {
    client.down.add(A);
    const first = wait();
    use({ reviews: aCluster('reviews', [A]) });
    expect(await first.isWaiting()).toBe(true);
    client.down.delete(A);
    await client.call();
    expect((await first.call).status).toBe(200);
    client.down.add(A);
    const second = wait();
    expect(await second.isWaiting()).toBe(true);
    use({ reviews: aCluster('reviews', [B]) });
    expect((await second.call).status).toBe(200);
  });

  test('keeps a body that can be had only once until somebody takes it', async () => {
    client.down.add(A);
    const cancelled: unknown[] = [];
    const producer: BodyProducer = { resume() {}, cancel: (reason) => void cancelled.push(reason) };
    const body = new StreamBody(producer);
    body.write(Buffer.from('once'));
    body.end();
    const { call, isWaiting } = wait({ method: 'POST', body });
    use({ reviews: aCluster('reviews', []) });
    expect(await isWaiting()).toBe(true);
    use({ reviews: aCluster('reviews', [A]) });
    expect(await isWaiting()).toBe(true);
    expect(cancelled).toEqual([]);
    use({ reviews: aCluster('reviews', [B]) });
    expect((await call).status).toBe(200);
    expect(cancelled).toEqual([]);
  });

  test('waits no longer than its deadline, leaves no timer, and gives its place back', async () => {
    client.down.add(A);
    const { call, isWaiting } = wait({ timeoutMs: 5_000 });
    use({ reviews: aCluster('reviews', [A], { limits: { ...aCluster('x', []).limits, maxPendingRequests: 1 } }) });
    expect(await isWaiting()).toBe(true);
    const second = wait();
    await expect(second.call).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
    await client.clock.advance(6_000);
    await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(client.destinations.clusters.list()[0]?.limits).toMatchObject({ requests: 0, pending: 0 });
    await client.destinations.close();
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  });

  test('is not sent when its time is up, though nobody has told it so: deadlines fire up to 4 ms late', async () => {
    client.down.add(A);
    const { call, isWaiting } = wait({ timeoutMs: 5_001 });
    use({ reviews: aCluster('reviews', [A]) });
    expect(await isWaiting()).toBe(true);
    await client.clock.advance(5_002);
    client.took();
    client.down.clear();
    use({ reviews: aCluster('reviews', [A, B]) });
    await expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', reached: 'no' });
    expect(client.took()).toEqual([]);
    expect(client.destinations.clusters.list()[0]?.limits).toMatchObject({ requests: 0, pending: 0 });
  });

  test('is not sent when it was given up in the turn in which it may go on', async () => {
    client.down.add(A);
    const first = client.call({ waitForReady: true, method: 'OPTIONS' });
    use({ reviews: aCluster('reviews', [A]) });
    const given = aCall({ waitForReady: true });
    const call = client.destinations.service(given);
    for (let i = 0; i < 5; i++) await settle();
    client.took();
    client.down.clear();
    use({ reviews: aCluster('reviews', [A, B]) });
    given.cancel(new CancelledError('gave up'));
    await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
    await first;
    expect(client.sent.filter(({ call: { method } }) => method === 'GET')).toEqual([]);
    expect(client.destinations.clusters.list()[0]?.limits).toMatchObject({ requests: 0, pending: 0 });
  });

  test.each(['high', 'batch'] as const)(
    'of priority %s gives its place back where it was taken when it was given up in that turn',
    async (priority) => {
      client.down.add(A);
      const limits = { ...DEFAULT_CIRCUIT_LIMITS, maxPendingRequests: 2, batchShare: 0.5 };
      const high = { ...limits, maxPendingRequests: 1 };
      const first = client.call({ method: 'OPTIONS' });
      use({ reviews: aCluster('reviews', [A], { limits: { ...limits, high } }) });
      await expect(first).rejects.toMatchObject({ code: 'CONNECT_FAILED' });
      const given = aCall({ waitForReady: true, priority });
      const call = client.destinations.service(given);
      for (let i = 0; i < 5; i++) await settle();
      use({ reviews: aCluster('reviews', [A, B], { limits: { ...limits, high } }) });
      given.cancel(new CancelledError('gave up'));
      await expect(call).rejects.toMatchObject({ code: 'CANCELLED' });
      const room = client.destinations.clusters.list()[0]?.limits;
      expect(room?.pending).toBe(0);
      expect([room?.tryWait(priority), room?.tryWait(priority)]).toEqual([true, false]);
    },
  );

  test('is not kept from failing by a drop or a limit: only what could not be sent waits', async () => {
    const first = wait();
    use({ reviews: aCluster('reviews', [A], { drops: [{ category: 'lb', share: 1 }] }) });
    await expect(first.call).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' });
  });
});

describe('a call that waits for ready', () => {
  test('outlives the Listener, and is served when it is back', async () => {
    const { call, isWaiting } = wait();
    use({ reviews: aCluster('reviews', []) });
    expect(await isWaiting()).toBe(true);
    client.source.of('reviews').failed(new ConfigUnavailableError('no such Listener'));
    expect(await isWaiting()).toBe(true);
    await client.clock.advance(5_000);
    use({ reviews: aCluster('reviews', [A]) }, once());
    expect((await call).status).toBe(200);
  });

  test('to an aggregate waits for any of its leaves: empty, unreachable or in trouble', async () => {
    const aggregate: AggregateClusterConfig = {
      kind: 'aggregate',
      name: 'reviews',
      statName: 'reviews',
      leaves: ['near', 'far'],
      retryBudget: DEFAULT_RETRY_BUDGET,
      maxRetries: undefined,
    };
    client.down.add(A);
    const first = wait();
    use({ reviews: aggregate, near: aCluster('near', [A]), far: trouble() });
    expect(await first.isWaiting()).toBe(true);
    use({ reviews: aggregate, near: aCluster('near', [A]), far: aCluster('far', [B]) });
    expect((await first.call).status).toBe(200);
    client.down.add(B);
    const second = wait();
    expect(await second.isWaiting()).toBe(true);
    client.down.clear();
    await client.clock.advance(3_000);
    expect((await second.call).status).toBe(200);
  });
});
