import { beforeEach, describe, expect, test } from 'vitest';
import { Router } from '../../../src/client/router/router.js';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { ConfigUnavailableError } from '../../../src/core/errors.js';
import { LayeredMap } from '../../../src/core/layered-map.js';
import type { AggregateClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_RETRY_BUDGET as retryBudget } from '../../../src/core/model/retry-budget.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { aCall } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aForward, aMatch, aRoute } from '../../support/targets.js';

let memory: ReturnType<typeof memoryEnv>;
let registry: ClusterRegistry;

beforeEach(() => {
  memory = memoryEnv();
  registry = new ClusterRegistry(memory.env);
});

const names = Array.from({ length: 100 }, (_, i) => `c${i}`);
const routes = names.map((name) =>
  aRoute({
    name,
    match: aMatch({ path: { kind: 'exact', value: `/${name}`, ignoreCase: false } }),
    action: aForward({ [name]: 1 }),
  }),
);
const config = (): TargetConfig => ({
  authority: 'reviews',
  routes,
  clusters: LayeredMap.over<string, NonNullable<ReturnType<TargetConfig['clusters']['get']>>>(
    new Map(names.map((name) => [name, aCluster(name, ['10.0.0.1:80'])])),
  ),
});
const withCluster = (
  before: TargetConfig,
  name: string,
  state: ReturnType<typeof aCluster> | AggregateClusterConfig | ConfigUnavailableError,
) => ({
  ...before,
  clusters: (before.clusters as LayeredMap<string, unknown>).with([
    [name, state],
  ]) as unknown as TargetConfig['clusters'],
});
const list = (): string[] => registry.list().map((cluster) => cluster.config.name);

describe('a router', () => {
  test('makes a cluster with the first call to it, and no other', async () => {
    const router = new Router(config(), registry, memory.env);
    expect(list()).toEqual([]);
    await router.service(aCall({ path: '/c7' }));
    expect(list()).toEqual(['c7']);
    router.release();
    expect(list()).toEqual([]);
  });

  test('takes over a change of endpoints as it is; clusters that nobody has called are made as they are by then', async () => {
    const first = config();
    const router = new Router(first, registry, memory.env);
    await router.service(aCall({ path: '/c7' }));
    const second = withCluster(first, 'c7', aCluster('c7', ['10.0.0.2:80']));
    const third = withCluster(second, 'c8', aCluster('c8', ['10.0.0.3:80']));
    expect(router.update(second) && router.update(third)).toBe(true);
    expect(router.config).toBe(third);
    await router.service(aCall({ path: '/c7' }));
    await router.service(aCall({ path: '/c8' }));
    expect(memory.sent.map(({ endpoint }) => endpoint)).toEqual(['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
  });

  test('asks for another router when routes differ', () => {
    const first = config();
    const router = new Router(first, registry, memory.env);
    expect(router.update({ ...first, routes: [...routes] })).toBe(false);
    expect(router.config).toBe(first);
  });

  test('a cluster that comes into trouble, and out of it, becomes another by itself: no route is compiled again', async () => {
    const first = config();
    const router = new Router(first, registry, memory.env);
    await router.service(aCall({ path: '/c7' }));
    await router.service(aCall({ path: '/c8' }));
    const broken = withCluster(first, 'c7', new ConfigUnavailableError('gone'));
    expect(router.update(broken)).toBe(true);
    await expect(router.service(aCall({ path: '/c7' }))).rejects.toThrow('gone');
    expect((await router.service(aCall({ path: '/c8' }))).status).toBe(200);
    expect(list()).toEqual(['c8']);
    expect(router.update(withCluster(broken, 'c7', aCluster('c7', ['10.0.0.2:80'])))).toBe(true);
    await router.service(aCall({ path: '/c7' }));
    expect(memory.sent.at(-1)?.endpoint).toBe('10.0.0.2:80');
    router.release();
    expect(list()).toEqual([]);
  });

  test('a cluster that becomes an aggregate, and one whose leaves are others, are taken over too, with the leaves that remain', async () => {
    const first = config();
    const router = new Router(first, registry, memory.env);
    const aggregate = (...leaves: string[]) =>
      ({ kind: 'aggregate', name: 'c7', statName: 'c7', leaves, retryBudget, maxRetries: undefined }) as const;
    await router.service(aCall({ path: '/c7' }));
    const both = withCluster(first, 'c7', aggregate('c8', 'c9'));
    expect(router.update(both)).toBe(true);
    await router.service(aCall({ path: '/c7' }));
    expect(memory.sent.at(-1)?.call.record.cluster).toBe('c8');
    expect(list()).toEqual(['c8']);
    expect(router.update(withCluster(both, 'c7', aggregate('c9', 'c8')))).toBe(true);
    await router.service(aCall({ path: '/c7' }));
    expect(memory.sent.at(-1)?.call.record.cluster).toBe('c9');
    expect(memory.closed).toEqual(['10.0.0.1:80']);
    router.release();
    expect(list()).toEqual([]);
  });

  test('the next one has the clusters that this one made, with their connections', async () => {
    const first = new Router(config(), registry, memory.env);
    await first.service(aCall({ path: '/c7' }));
    const second = new Router({ ...config(), routes: [...routes] }, registry, memory.env);
    first.release();
    expect(list()).toEqual(['c7']);
    await second.service(aCall({ path: '/c7' }));
    expect(memory.opened).toEqual(['http1 10.0.0.1:80']);
    second.release();
    expect(memory.closed).toEqual(['10.0.0.1:80']);
  });
});
