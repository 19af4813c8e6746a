import { beforeEach, describe, expect, test } from 'vitest';
import { ConfigUnavailableError } from '../../../src/core/errors.js';
import type { AggregateClusterConfig, ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_RETRY_BUDGET } from '../../../src/core/model/retry-budget.js';
import type { MeshError } from '../../../src/core/errors.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import type { TransportOptions } from '../../../src/core/transport.js';
import { FAILOVER_MS } from '../../../src/client/endpoints/level.js';
import { aCall, aReply, OpenReply } from '../../support/calls.js';
import { failoverClient, leveled, once } from '../../support/failover.js';
import { settle } from '../../support/fake-clock.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';

const A = '10.0.0.1:80';
const B = '10.0.0.2:80';
const C = '10.0.1.1:80';

let client: ReturnType<typeof failoverClient>;

const aggregate = (leaves: readonly string[], more: Partial<AggregateClusterConfig> = {}): AggregateClusterConfig => ({
  kind: 'aggregate',
  name: 'both',
  statName: 'both',
  leaves,
  retryBudget: DEFAULT_RETRY_BUDGET,
  maxRetries: undefined,
  ...more,
});

const target = (
  leaves: readonly ClusterConfig[],
  more: { readonly aggregate?: Partial<AggregateClusterConfig>; readonly extra?: Record<string, MeshError> } = {},
  route = once('both'),
): TargetConfig => ({
  authority: 'reviews',
  routes: [route],
  clusters: new Map<string, ClusterConfig | AggregateClusterConfig | MeshError>([
    [
      'both',
      aggregate(
        leaves.map(({ name }) => name),
        more.aggregate,
      ),
    ],
    ...leaves.map((leaf) => [leaf.name, leaf] as const),
    ...Object.entries(more.extra ?? {}),
  ]),
});

const use = (config: TargetConfig): void => client.source.of('reviews').changed(config);
/** The first call, which makes the destination. */
const begin = async (config: TargetConfig): Promise<void> => {
  const first = client.call();
  use(config);
  await first;
};

beforeEach(() => {
  client = failoverClient();
});

describe('A75: an aggregate cluster', () => {
  test('is served by its first leaf, and makes nothing of the others while that can', async () => {
    await begin(target([aCluster('a', [A, B]), aCluster('b', [C])]));
    for (let i = 0; i < 10; i++) await client.call();
    expect(client.took()).not.toContain(C);
    expect(client.destinations.clusters.list().map(({ config }) => config.name)).toEqual(['a']);
  });

  test('goes on to the next leaf in the same call, comes back when the first one does', async () => {
    client.down.add(A).add(B);
    await begin(target([aCluster('a', [A, B]), aCluster('b', [C])]));
    expect(client.took().at(-1)).toBe(C);
    await client.call();
    expect(client.took()).toEqual([C]);
    client.down.clear();
    await client.clock.advance(1_250);
    // The first call finds out, and does not wait for what it finds.
    await client.call();
    expect(client.took()).toContain(C);
    for (let i = 0; i < 5; i++) await client.call();
    expect(client.took()).not.toContain(C);
  });

  test('the priorities of a leaf come before the next leaf', async () => {
    client.down.add(A);
    await begin(target([leveled('a', [[A], [B]]), aCluster('b', [C])]));
    expect(client.took()).toEqual([A, B]);
    client.down.add(B);
    await client.call();
    expect(client.took().at(-1)).toBe(C);
    await client.call();
    expect(client.took()).toEqual([C]);
  });

  test('passes over a leaf without endpoints, and takes it up when it has some', async () => {
    const empty = target([aCluster('a', []), aCluster('b', [C])]);
    await begin(empty);
    expect(client.took()).toEqual([C]);
    use({ ...empty, clusters: new Map([...empty.clusters, ['a', aCluster('a', [A])]]) });
    await client.call();
    expect(client.took()).toEqual([A]);
  });

  test('fails when no leaf has any, and a call that waits for ready is served by the first that gets one', async () => {
    const empty = target([aCluster('a', []), aCluster('b', [])]);
    const failed = client.call();
    use(empty);
    await expect(failed).rejects.toMatchObject({ code: 'NO_ENDPOINT' });
    const waiting = client.call({ waitForReady: true });
    await settle();
    use({ ...empty, clusters: new Map([...empty.clusters, ['b', aCluster('b', [C])]]) });
    expect((await waiting).status).toBe(200);
    expect(client.took()).toEqual([C]);
  });

  test('each leaf has limits of its own; one that is full is no reason to load another (A32)', async () => {
    const open = new OpenReply();
    client = failoverClient({ answer: () => open });
    const limits = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: undefined };
    await begin(target([aCluster('a', [A], { limits }), aCluster('b', [C])]));
    await expect(client.call()).rejects.toMatchObject({ code: 'CIRCUIT_OPEN', cluster: 'a' });
    expect(client.took()).toEqual([A]);
    open.finish();
  });

  test('each leaf drops what it is told to drop', async () => {
    const first = client.call();
    use(target([aCluster('a', [A], { drops: [{ category: 'lb', share: 1 }] }), aCluster('b', [C])]));
    await expect(first).rejects.toMatchObject({ cluster: 'a', category: 'lb' });
    expect(client.took()).toEqual([]);
  });

  test('is told by the name of the leaf that served', async () => {
    await begin(target([aCluster('a', [A], { statName: 'stat-a' }), aCluster('b', [C])]));
    const call = aCall();
    await client.destinations.service(call);
    expect(call.record.cluster).toBe('stat-a');
  });

  test('a leaf in trouble is left out, and the aggregate goes on without it', async () => {
    const trouble = new ConfigUnavailableError('no such cluster');
    const config = target([aCluster('b', [C])], { extra: { a: trouble } });
    await begin(config);
    expect(client.took()).toEqual([C]);
    use(target([aCluster('a', [A]), aCluster('b', [C])]));
    await client.call();
    expect(client.took()).toEqual([A]);
  });

  test('retries are its own: budget and max_retries count over all of its leaves', async () => {
    client = failoverClient({ answer: () => aReply(503) });
    const route = aRoute({ action: aForward({ both: 1 }, { timeoutMs: 0 }) });
    const config = target([aCluster('a', [A, B])], { aggregate: { maxRetries: 0 } }, route);
    await begin(config);
    expect(client.took()).toHaveLength(1);
    use(target([aCluster('a', [A, B])], { aggregate: { maxRetries: 1 } }, route));
    const again = client.call();
    await client.clock.advance(1_000);
    await again;
    expect(client.took()).toHaveLength(2);
  });

  test('Envoy’s budget of retries is a share of the attempts under way at any of its leaves', async () => {
    const hanging: OpenReply[] = [];
    client = failoverClient({
      answer: (_, { path }) => {
        if (path === '/fails') return aReply(503);
        const reply = new OpenReply();
        hanging.push(reply);
        return reply;
      },
    });
    const route = aRoute({ action: aForward({ both: 1 }, { timeoutMs: 0 }) });
    const activeRetryBudget = { share: 0.5, minConcurrency: 0 };
    const leaves = [aCluster('a', [A]), aCluster('b', [C])];
    await begin(target(leaves, { aggregate: { activeRetryBudget } }, route));
    const attempts = async (): Promise<number> => {
      client.took();
      const failing = client.call({ path: '/fails' });
      await client.clock.advance(1_000);
      expect((await failing).status).toBe(503);
      return client.took().length;
    };
    // One under way: half of it is no whole retry.
    expect(await attempts()).toBe(1);
    client.down.add(A);
    await client.call();
    client.down.delete(A);
    expect(hanging).toHaveLength(2);
    expect(await attempts()).toBe(2);
    for (const reply of hanging.splice(0)) reply.finish();
    expect(await attempts()).toBe(1);
  });

  test('that budget comes, changes and goes at run time, and what is under way is counted on', async () => {
    const hanging: OpenReply[] = [];
    client = failoverClient({
      answer: (_, { path }) => {
        if (path === '/fails') return aReply(503);
        const reply = new OpenReply();
        hanging.push(reply);
        return reply;
      },
    });
    const route = aRoute({ action: aForward({ both: 1 }, { timeoutMs: 0 }) });
    const leaves = [aCluster('a', [A]), aCluster('b', [C])];
    const withBudget = (share: number | undefined): TargetConfig => {
      const activeRetryBudget = share === undefined ? undefined : { share, minConcurrency: 0 };
      const none = { retryRatio: 0, minRetriesPerSecond: 0, ttlMs: 10_000 };
      return target(leaves, { aggregate: { activeRetryBudget, retryBudget: none } }, route);
    };
    await begin(withBudget(undefined));
    const attempts = async (): Promise<number> => {
      client.took();
      const failing = client.call({ path: '/fails' });
      await client.clock.advance(1_000);
      expect((await failing).status).toBe(503);
      return client.took().length;
    };
    // Of recent calls nothing may be tried again.
    expect(await attempts()).toBe(1);
    use(withBudget(0.5));
    for (let i = 0; i < 2; i++) await client.call();
    expect(await attempts()).toBe(2);
    use(withBudget(0.4));
    expect(await attempts()).toBe(1);
    for (let i = 0; i < 2; i++) await client.call();
    expect(await attempts()).toBe(2);
    use(withBudget(undefined));
    expect(await attempts()).toBe(1);
    for (const reply of hanging.splice(0)) reply.finish();
    use(withBudget(0.9));
    expect(await attempts()).toBe(1);
  });

  test('a cluster that is called by itself too is one and the same', async () => {
    const routes = [
      aRoute({
        match: { ...aRoute().match, path: { kind: 'exact', value: '/a', ignoreCase: false } },
        action: aForward({ a: 1 }),
      }),
      once('both'),
    ];
    const config = { ...target([aCluster('a', [A]), aCluster('b', [C])]), routes };
    await begin(config);
    await client.call({ path: '/a' });
    expect(client.opened).toEqual([`http1 ${A}`]);
    expect(client.destinations.clusters.list()).toHaveLength(1);
  });

  test('nobody waits longer than 10 s for a leaf’s connection where another leaf can serve', async () => {
    const limits: number[] = [];
    const open = (options: TransportOptions) => {
      limits.push(options.connectTimeoutMs);
      return client.env.transports.http1(options);
    };
    const other = failoverClient({ env: { transports: { http1: open, http2: open } } });
    client.down.add(A);
    const call = other.call();
    const slow = { connectTimeoutMs: 20_000 };
    other.source.of('reviews').changed(target([aCluster('a', [A], slow), aCluster('b', [C], slow)]));
    await call;
    expect(limits).toEqual([FAILOVER_MS, 20_000]);
  });

  describe('a cluster that was a leaf with others after it', () => {
    const alone = once('a');
    /** How many of 8 calls are served by `a` when all but the endpoint that came back last are down, and all are known as down. */
    const served = async (): Promise<number> => {
      let count = 0;
      for (let round = 0; round < 8; round++) {
        client.down.add(A).add(B);
        for (let i = 0; i < 4; i++) await client.call().catch(() => {});
        client.down.delete(round % 2 === 0 ? A : B);
        await client.call().then(
          () => count++,
          () => {},
        );
      }
      return count;
    };
    const both = () => target([aCluster('a', [A, B]), aCluster('b', [C])]);
    const onlyA = (more: TargetConfig['clusters'] = new Map()): TargetConfig => ({
      authority: 'reviews',
      routes: [alone],
      clusters: new Map([['a', aCluster('a', [A, B])] as const, ...more]),
    });

    test('finds its last resorts when it is called by itself again', async () => {
      await begin(onlyA());
      const before = await served();
      client = failoverClient();
      await begin(both());
      use(onlyA());
      await client.call();
      expect(await served()).toBe(before);
    });

    test('finds them when its aggregate has it last, or not at all', async () => {
      for (const leaves of [['b', 'a'], ['b']]) {
        client = failoverClient();
        await begin(both());
        const a = client.destinations.clusters.list().find(({ statName }) => statName === 'a');
        expect(a?.hasStandIn).toBe(true);
        use({
          ...both(),
          clusters: new Map([...both().clusters, ['both', aggregate(leaves)]]),
          routes: [once('both')],
        });
        await client.call();
        expect(a?.hasStandIn).toBe(false);
      }
    });

    test('has its stand-in as long as calls of the aggregate are under way', async () => {
      client = failoverClient({ answer: () => aReply(503) });
      const first = client.call();
      use(
        target(
          [aCluster('a', [A]), aCluster('b', [C])],
          {},
          aRoute({ action: aForward({ both: 1 }, { timeoutMs: 0 }) }),
        ),
      );
      await import('../../../src/resilience/retry/repeat.js');
      for (let i = 0; i < 10; i++) await settle();
      use(onlyA());
      const a = client.destinations.clusters.list().find(({ statName }) => statName === 'a');
      expect(a?.hasStandIn).toBe(true);
      for (let i = 0; i < 50; i++) await client.clock.advance(100);
      await first;
      expect(a?.hasStandIn).toBe(false);
    });
  });

  test('its leaves are let go with it', async () => {
    await begin(target([aCluster('a', [A]), aCluster('b', [C])]));
    use({ authority: 'reviews', routes: [], clusters: new Map() });
    expect(client.closed).toEqual([A]);
    expect(client.destinations.clusters.list()).toEqual([]);
    await client.destinations.close();
    client.env.deadlines.close();
    expect(client.clock.pending).toBe(0);
  });
});
