import { beforeAll, describe, expect, test } from 'vitest';
import type { AggregateClusterConfig, ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import type { EndpointConfig } from '../../../src/core/model/endpoint.js';
import type { ForwardAction, Route } from '../../../src/core/model/route.js';
import { headerFields } from '../../../src/core/headers.js';
import { aReply } from '../../support/calls.js';
import { anEndpoint } from '../../support/endpoints.js';
import { failoverClient } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.1.1:80';
const after5s = () => aReply(503, { 'retry-after': '5' });

interface Case {
  readonly route?: Partial<Route>;
  readonly action?: Partial<ForwardAction>;
  readonly headers?: Record<string, string>;
  readonly to?: string;
  /** An endpoint that could not be reached by calls before, so that what stands in for it is in use, too. */
  readonly wasDown?: string;
}

/** How many milliseconds the retry waited after the first attempt was asked to wait 5 s, and where it went. */
async function retried(
  clusters: readonly (ClusterConfig | AggregateClusterConfig)[],
  { route, action, headers = {}, to = 'reviews', wasDown }: Case = {},
) {
  const at: number[] = [];
  const client = failoverClient({
    answer: (_endpoint, { method }) => {
      if (method !== 'GET') return aReply();
      at.push(client.clock.now());
      return at.length === 1 ? after5s() : aReply();
    },
  });
  const first = client.call({ method: 'OPTIONS' });
  if (wasDown !== undefined) client.down.add(wasDown);
  client.source.of('reviews').changed({
    authority: 'reviews',
    routes: [aRoute({ action: aForward({ [to]: 1 }, { timeoutMs: 0, ...action }), ...route })],
    clusters: new Map(clusters.map((cluster) => [cluster.name, cluster])),
  });
  await first;
  client.down.clear();
  await client.clock.advance(5_000);
  await client.call({ method: 'OPTIONS' });
  await client.clock.advance(5_000);
  client.took();
  const call = client.call({ headers: headerFields(headers) });
  for (let i = 0; i < 10; i++) await settle();
  for (let i = 0; i < 100; i++) await client.clock.advance(100);
  await call;
  return { waited: (at[1] as number) - (at[0] as number) >= 5_000, took: client.took() };
}

const of = (endpoints: readonly EndpointConfig[], more: Partial<ClusterConfig> = {}): ClusterConfig => ({
  ...aCluster('reviews', [], more),
  endpoints,
});

// Loaded when it is needed, in real time; in that of the test none may pass meanwhile.
beforeAll(() => import('../../../src/resilience/retry/repeat.js'));

describe('Retry-After', () => {
  test('is not waited for where another endpoint can serve meanwhile', async () => {
    const { waited, took } = await retried([of([anEndpoint(A), anEndpoint(B)])]);
    expect(waited).toBe(false);
    expect(new Set(took)).toEqual(new Set([A, B]));
  });

  test('is waited for where the other endpoint drains', async () => {
    const endpoints = [anEndpoint(A), anEndpoint(B, { health: 'draining' })];
    expect(await retried([of(endpoints)])).toEqual({ waited: true, took: [A, A] });
  });

  test('is waited for where the other endpoint is of a priority that no retry goes to', async () => {
    const endpoints = [anEndpoint(A), anEndpoint(C, { priority: 1 })];
    expect(await retried([of(endpoints)])).toEqual({ waited: true, took: [A, A] });
  });

  test('is waited for where the other endpoint is degraded: those come after all that are usable', async () => {
    const endpoints = [anEndpoint(A), anEndpoint(B, { health: 'degraded' })];
    expect(await retried([of(endpoints)])).toEqual({ waited: true, took: [A, A] });
  });

  test('is not waited for where another priority has a share of the calls', async () => {
    const usable = [anEndpoint(A), ...[2, 3].map((i) => anEndpoint(`10.0.0.${i}:80`, { health: 'unhealthy' }))];
    const endpoints = [...usable, anEndpoint(C, { priority: 1 })];
    const { waited } = await retried([
      of(endpoints, { priorities: { overprovisioningFactor: 1.4 }, panicThreshold: 0 }),
    ]);
    expect(waited).toBe(false);
  });

  test('is waited for where the other endpoint is not of the subset that the call may go to', async () => {
    const endpoints = [anEndpoint(A, { labels: { v: '1' } }), anEndpoint(B, { labels: { v: '2' } })];
    const subsets: ClusterConfig['subsets'] = { fallback: 'none', defaultSubset: {}, selectors: [{ keys: ['v'] }] };
    expect(await retried([of(endpoints, { subsets })], { action: { subset: { v: '1' } } })).toEqual({
      waited: true,
      took: [A, A],
    });
  });

  test('is not waited for where the first endpoint to be tried is given up for the next', async () => {
    const { waited, took } = await retried([
      of([anEndpoint(A), anEndpoint(B)], { balancer: { kind: 'pick_first' } as ClusterConfig['balancer'] }),
    ]);
    expect(waited).toBe(false);
    expect(new Set(took)).toEqual(new Set([A, B]));
  });

  test('is waited for where the call’s session allows its own endpoint only', async () => {
    const session = { kind: 'header', name: 'home', strict: true } as const;
    const endpoints = [anEndpoint(A), anEndpoint(B)];
    const headers = { home: Buffer.from(A).toString('base64') };
    expect(await retried([of(endpoints)], { route: { session }, headers })).toEqual({ waited: true, took: [A, A] });
  });

  test('is waited for where the other endpoint is of a leaf that no retry goes to, though it is in use', async () => {
    const both: AggregateClusterConfig = {
      kind: 'aggregate',
      name: 'both',
      statName: 'both',
      leaves: ['reviews', 'far'],
      retryBudget: DEFAULT_RETRY_BUDGET,
      maxRetries: undefined,
    };
    const clusters = [both, of([anEndpoint(A)]), aCluster('far', [C])];
    expect(await retried(clusters, { to: 'both', wasDown: A })).toEqual({ waited: true, took: [A, A] });
  });
});
