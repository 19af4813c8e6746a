import { expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import { headerFields } from '../../../src/core/headers.js';
import type { FallbackConfig } from '../../../src/core/model/cluster.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { DEFAULT_LIMIT_REPLY } from '../../../src/core/model/limit.js';
import type { Route } from '../../../src/core/model/route.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { TroubledCluster } from '../../../src/core/model/troubled-cluster.js';
import { aCall } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { limitRule, limitsEnv } from '../../support/limits.js';
import { aForward, aRoute } from '../../support/targets.js';

/* Limits and faults stand before the cluster, as Envoy's filters stand before its router: they hold whether the cluster can be called or not. */

const STATIC: FallbackConfig = { kind: 'static', status: 200, headers: [], body: Buffer.from('static'), grpcStatus: 0 };
const ABORT: FaultConfig = { name: 'abort', abort: { kind: 'http', status: 418, share: 1 }, headers: [] };
const LIMITS = { ...DEFAULT_LIMIT_REPLY, rules: [limitRule()] };

/** A route to a cluster that cannot be called. */
function troubled(policies: Partial<Route>, { known = true, fallback = [] as FallbackConfig[] } = {}) {
  const { env, clock } = memoryEnv();
  const { env: limits, stores } = limitsEnv();
  const config: TargetConfig = {
    authority: 'reviews',
    routes: [aRoute({ action: aForward({ reviews: 1 }), ...policies })],
    clusters: new Map(known ? [['reviews', new TroubledCluster('no endpoints', fallback)]] : []),
  };
  const all = { ...env, limits };
  const router = new Router(config, new ClusterRegistry(all), all);
  const ask = (of: Parameters<typeof aCall>[0] = {}): Promise<string> =>
    router.service(aCall(of)).then(
      ({ status, headers }) => `${status} ${headers['x-route'] ?? ''}`.trimEnd(),
      (error: { readonly code?: string; readonly name: string }) => error.code ?? error.name,
    );
  return { ask, clock, stores };
}

test('a call to a cluster in trouble counts, and is refused beyond the limit', async () => {
  const { ask } = troubled({ limits: LIMITS });
  expect([await ask(), await ask(), await ask()]).toEqual(['CONFIG_UNAVAILABLE', 'CONFIG_UNAVAILABLE', 'RATE_LIMITED']);
});

test('the same holds where there is no such cluster', async () => {
  const { ask } = troubled({ limits: LIMITS }, { known: false });
  expect([await ask(), await ask(), await ask()]).toEqual(['NO_ROUTE', 'NO_ROUTE', 'RATE_LIMITED']);
});

test('what stands in for the cluster answers calls that the limit lets through', async () => {
  const { ask } = troubled({ limits: LIMITS }, { fallback: [STATIC] });
  expect([await ask(), await ask(), await ask()]).toEqual(['200', '200', 'RATE_LIMITED']);
});

test('faults befall calls to it, and what the route changes about replies is changed once', async () => {
  const added = { remove: [], set: [{ name: 'x-route', value: 'yes', action: 'append' as const }] };
  const { ask } = troubled({ faults: [ABORT], responseHeaders: added }, { fallback: [STATIC] });
  expect(await ask()).toBe('418 yes');
});

test('a call that waits for the cluster is counted when it goes on, not before', async () => {
  const { ask, stores } = troubled({ limits: LIMITS, faults: [ABORT] });
  const waiting = { waitForReady: true, headers: headerFields() };
  expect([await ask(waiting), await ask(waiting), await ask(waiting)]).toEqual(Array(3).fill('ClusterTrouble'));
  expect(stores.local.size).toBe(0);
});
