import { expect, test } from 'vitest';
import { ClusterRegistry } from '../../../src/client/endpoints/registry.js';
import { Router } from '../../../src/client/router/router.js';
import { headerFields } from '../../../src/core/headers.js';
import type { Call } from '../../../src/core/call.js';
import type { MeshError } from '../../../src/core/errors.js';
import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import type { FallbackConfig } from '../../../src/core/model/fallback.js';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import { DEFAULT_LIMIT_REPLY } from '../../../src/core/model/limit.js';
import { DEFAULT_RETRY, type Route } from '../../../src/core/model/route.js';
import type { TargetConfig } from '../../../src/core/model/target.js';
import { TroubledCluster } from '../../../src/core/model/troubled-cluster.js';
import { aCall, aReply } from '../../support/calls.js';
import { memoryEnv } from '../../support/client-env.js';
import { settle } from '../../support/fake-clock.js';
import { limitRule, limitsEnv } from '../../support/limits.js';
import { aCluster, aForward, aRoute } from '../../support/targets.js';

/* Limits and faults stand before the cluster, as Envoy's filters stand before its router: they hold whether the cluster can be called or not. */

const REVIEWS = '10.0.0.1:80';
const RATINGS = '10.0.0.2:80';
const SHADOW = '10.0.0.3:80';
const NEVER = { ...DEFAULT_RETRY, maxRetries: 0 };
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

/** What stands in is sent, while the cluster of the route is as given. */
async function standIn(state: 'failing' | 'in trouble', route: Partial<Route>, of: Parameters<typeof aCall>[0] = {}) {
  const memory = memoryEnv((endpoint) => aReply(endpoint === REVIEWS ? 503 : 200));
  const fallback: FallbackConfig[] = [{ kind: 'service', cluster: 'ratings' }];
  const reviews =
    state === 'failing' ? aCluster('reviews', [REVIEWS], { fallback }) : new TroubledCluster('no endpoints', fallback);
  const config: TargetConfig = {
    authority: 'reviews',
    routes: [aRoute(route)],
    clusters: new Map<string, ClusterConfig | MeshError>([
      ['reviews', reviews],
      ['ratings', aCluster('ratings', [RATINGS])],
      ['shadow', aCluster('shadow', [SHADOW])],
    ]),
  };
  const router = new Router(config, new ClusterRegistry(memory.env), memory.env);
  const call = aCall({ path: '/original', ...of });
  const { status, headers } = await router.service(call);
  const sent = memory.sent.find(({ endpoint }) => endpoint === RATINGS)?.call as Call;
  const { path, host, priority, hash } = sent;
  return { status, headers, seen: { path, host, priority, hash, headers: { ...sent.headers } }, sent: memory.sent };
}

test('what stands in gets the request that the route makes of it, whether the cluster fails or is in trouble', async () => {
  const route: Partial<Route> = {
    action: aForward(
      { reviews: 1 },
      {
        retry: NEVER,
        priority: 'high',
        pathRewrite: { kind: 'full', value: '/rewritten' },
        hostRewrite: { kind: 'literal', value: 'spare.example' },
      },
    ),
    requestHeaders: { remove: ['x-internal'], set: [{ name: 'x-added', value: 'yes', action: 'append' }] },
    attemptCount: { request: true, response: true },
  };
  const seen = async (state: 'failing' | 'in trouble') =>
    (await standIn(state, route, { headers: headerFields({ 'x-internal': 'secret' }) })).seen;
  const { path, host, priority, headers } = await seen('in trouble');
  expect({ path, host, priority }).toEqual({ path: '/rewritten', host: 'spare.example', priority: 'high' });
  expect(headers).toMatchObject({ 'x-added': 'yes', 'x-envoy-original-path': '/original' });
  expect(headers['x-internal']).toBeUndefined();
  const whenFailing = await seen('failing');
  expect({ ...whenFailing, headers: undefined }).toEqual({ path, host, priority, hash: undefined, headers: undefined });
});

test('and its copies go where the route says', async () => {
  const mirrors = [
    { cluster: 'shadow', share: 1, hostRewrite: undefined, shadowSuffix: true, requestHeaders: undefined },
  ];
  for (const state of ['failing', 'in trouble'] as const) {
    const { sent } = await standIn(state, { action: aForward({ reviews: 1 }, { retry: NEVER, mirrors }) });
    await settle();
    expect(sent.filter(({ endpoint }) => endpoint === SHADOW)).toHaveLength(1);
  }
});

test('a call that waits for the cluster is left as it came, since its route will change it when it goes on', async () => {
  const { env } = memoryEnv();
  const requestHeaders = { remove: [], set: [{ name: 'x-added', value: 'yes', action: 'append' as const }] };
  const action = aForward(
    { reviews: 1 },
    { pathRewrite: { kind: 'prefix', value: '/under' }, maxStreamDurationMs: 1_000 },
  );
  const config: TargetConfig = {
    authority: 'reviews',
    routes: [aRoute({ action, requestHeaders, responseHeaders: requestHeaders })],
    clusters: new Map([['reviews', new TroubledCluster('no endpoints', [])]]),
  };
  const router = new Router(config, new ClusterRegistry(env), env);
  const call = aCall({ waitForReady: true, protocol: 'grpc' });
  for (let i = 0; i < 3; i++) await expect(router.service(call)).rejects.toThrow('no endpoints');
  const { path, headers, record, deadline } = call;
  expect([path, headers['x-added'], record.replyChanges]).toEqual(['/', undefined, undefined]);
  expect(deadline).toBe(Number.POSITIVE_INFINITY);
});
