import { beforeAll, expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../../src/core/model/circuit-limits.js';
import type { RetryBudget } from '../../../src/resilience/retry/budget.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { aCluster, aRoute, aTarget } from '../../support/targets.js';

// Loaded by the first failure; here beforehand, since a clock that stands still does not wait for a disk.
beforeAll(() => import('../../../src/resilience/retry/repeat.js'));

const FULL: Partial<ClusterConfig> = { limits: { ...DEFAULT_CIRCUIT_LIMITS, maxRequests: 0 } };
const budgetOf = (minRetriesPerSecond: number) => ({ retryRatio: 0, minRetriesPerSecond, ttlMs: 10_000 });

test('a retry that is not let through is given back to the budget that paid for it, not to one that an update has brought', async () => {
  const { env, clock, sent } = memoryEnv(() => aReply(503));
  const registry = new ClusterRegistry(env);
  const config = aTarget([aRoute()], [aCluster('reviews', ['10.0.0.1:80'], { retryBudget: budgetOf(1) })]);
  const router = new Router(config, registry, env);
  const budget = (): RetryBudget => registry.list()[0]?.budget as RetryBudget;
  const replying = router.service(aCall());
  for (let i = 0; i < 100 && budget().balance === 10; i++) await new Promise(setImmediate);
  const paying = budget();
  expect(paying.balance).toBe(9);
  const updated = aCluster('reviews', ['10.0.0.1:80'], { ...FULL, retryBudget: budgetOf(2) });
  router.update({ ...config, clusters: new Map([['reviews', updated]]) });
  await Promise.all([expect(replying).rejects.toMatchObject({ code: 'CIRCUIT_OPEN' }), clock.advance(100)]);
  expect(sent).toHaveLength(1);
  expect([paying.balance, budget().balance]).toEqual([10, 20]);
});
