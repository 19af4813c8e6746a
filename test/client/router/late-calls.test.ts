import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ClusterRegistry, LINGER_MS } from '../../../src/client/endpoints/registry.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import type { ForwardAction } from '../../../src/core/model/route.js';
import type { Reply } from '../../../src/core/reply.js';
import { aReply } from '../../support/calls.js';
import { anEndpoint } from '../../support/endpoints.js';
import { failoverClient, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.1.1:80';
const NEW = '10.0.9.9:80';

const both: AggregateClusterConfig = {
  kind: 'aggregate',
  name: 'both',
  statName: 'both',
  leaves: ['a', 'b'],
  retryBudget: DEFAULT_RETRY_BUDGET,
  maxRetries: undefined,
};
const a = aCluster('a', [A]);
const b = aCluster('b', [B]);
const toSpare = (cluster: string): ClusterConfig => aCluster('main', [A], { fallback: [{ kind: 'service', cluster }] });

const to = (cluster: string, more: Partial<ForwardAction> = {}) =>
  aRoute({ action: aForward({ [cluster]: 1 }, { timeoutMs: 0, ...more }) });

let client: ReturnType<typeof failoverClient>;
/** Those whose first endpoint has them wait for the test. */
let answerA: ((reply: Reply) => void)[];

const use = (route: ReturnType<typeof to>, ...clusters: (ClusterConfig | AggregateClusterConfig)[]): void =>
  client.source.of('reviews').changed({
    authority: 'reviews',
    routes: [route],
    clusters: new Map(clusters.map((cluster) => [cluster.name, cluster])),
  });
const names = (): string[] => client.destinations.clusters.list().map(({ statName }) => statName);
const turns = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await settle();
};
const fail = (): void => {
  for (const answer of answerA.splice(0)) answer(aReply(503));
};
/** What a call under way at A comes to. */
const outcome = (call: Promise<Reply>) =>
  call.then(
    ({ status }) => status,
    ({ code }: { code: string }) => code,
  );

// Loaded when it is needed, in real time; in that of the test none may pass meanwhile.
beforeAll(() => import('../../../src/resilience/retry/repeat.js'));
beforeEach(() => {
  answerA = [];
  client = failoverClient({
    answer: (endpoint) => (endpoint === A ? new Promise((resolve) => answerA.push(resolve)) : aReply()),
  });
});

describe('a call that goes on after its routes are replaced', () => {
  const retryOnce = { retry: { ...(once().action as ForwardAction).retry, on: new Set(['5xx']), maxRetries: 1 } };
  const route = to('both', retryOnce as Partial<ForwardAction>);
  const badA = { ...a, endpoints: [anEndpoint(A, { health: 'unhealthy' })] };

  test('has its retry served by a leaf of its aggregate that no call has needed before', async () => {
    const call = outcome(client.call());
    use(route, both, a, b);
    await turns();
    use(to('other'), aCluster('other', [NEW]), both, badA, b);
    fail();
    await turns();
    await client.clock.advance(500);
    expect(await call).toBe(200);
    expect(client.took()).toEqual([A, B]);
    await client.clock.advance(3 * LINGER_MS);
    expect(names()).toEqual([]);
  });

  test('has its retry served by a leaf that was let go while it stood idle', async () => {
    client.down.add(A);
    const first = outcome(client.call());
    use(route, both, a, b);
    expect(await first).toBe(200);
    client.down.delete(A);
    await client.clock.advance(5_000);
    await client.call();
    await client.clock.advance(5_000);
    client.took();
    const call = outcome(client.call());
    await turns();
    expect(client.took()).toEqual([A]);
    use(to('other'), aCluster('other', [NEW]), both, badA, b);
    expect(names()).toEqual(['a']);
    fail();
    await turns();
    await client.clock.advance(500);
    expect(await call).toBe(200);
    expect(client.took()).toEqual([B]);
  });

  test('is answered by the spare cluster that no call has needed before', async () => {
    const call = outcome(client.call());
    use(once('main'), toSpare('spare'), aCluster('spare', [B]));
    await turns();
    use(once('other'), aCluster('other', [NEW]));
    fail();
    expect(await call).toBe(200);
    expect(client.took()).toEqual([A, B]);
    await client.clock.advance(3 * LINGER_MS);
    expect(names()).toEqual([]);
  });

  test('is answered by the spare cluster that was let go while it stood idle', async () => {
    const first = outcome(client.call());
    use(once('main'), toSpare('spare'), aCluster('spare', [B]));
    await turns();
    fail();
    expect(await first).toBe(200);
    const call = outcome(client.call());
    await turns();
    client.took();
    use(once('other'), aCluster('other', [NEW]));
    expect(names()).toEqual(['main']);
    fail();
    expect(await call).toBe(200);
    expect(client.took()).toEqual([B]);
  });

  test('finds a cluster that others call as it is, and does not bring back what it was', async () => {
    const call = outcome(client.call());
    use(once('main'), toSpare('spare'), aCluster('spare', [B]));
    await turns();
    use(once('spare'), aCluster('spare', [NEW]));
    await client.call();
    fail();
    expect(await call).toBe(200);
    expect(client.took()).toEqual([A, NEW, NEW]);
    await client.clock.advance(3 * LINGER_MS);
    await client.call();
    expect(client.took()).toEqual([NEW]);
    expect(names()).toEqual(['spare']);
  });

  test('leaves nothing of a spare aggregate behind', async () => {
    const call = outcome(client.call());
    use(once('main'), toSpare('both'), { ...both, leaves: ['b'] }, b);
    await turns();
    use(once('other'), aCluster('other', [NEW]));
    fail();
    expect(await call).toBe(200);
    expect(client.took()).toEqual([A, B]);
    await client.clock.advance(3 * LINGER_MS);
    expect(names()).toEqual([]);
    expect(client.destinations.clusters.hasAggregate('both')).toBe(false);
  });

  test('leaves a spare aggregate that others call with the leaves that it has now', async () => {
    const call = outcome(client.call());
    use(once('main'), toSpare('both'), { ...both, leaves: ['b'] }, b);
    await turns();
    client.silent.add(NEW);
    use(once('both'), { ...both, leaves: ['c'] }, aCluster('c', []));
    const waiting = client.call({ waitForReady: true });
    await turns();
    fail();
    expect(await call).toBe(200);
    client.silent.clear();
    use(once('both'), { ...both, leaves: ['c'] }, aCluster('c', [NEW]));
    expect((await waiting).status).toBe(200);
    expect(client.took()).toEqual([A, B, NEW]);
  });

  test('leaves nothing behind when the mesh has closed meanwhile', async () => {
    const registry = new ClusterRegistry(client.env);
    await registry.close();
    expect(registry.lend(b).retired).toBe(true);
    expect(registry.list()).toEqual([]);
    expect(client.clock.pending).toBe(0);
  });
});
