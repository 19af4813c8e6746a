import { headerFields } from '../../src/core/headers.js';
import type { LimitRequest } from '../../src/core/limits.js';
import { silentLogger } from '../../src/core/log.js';
import type { MeshEvent } from '../../src/core/meter.js';
import { DEFAULT_LIMIT_REPLY, type LimitRule, type RouteLimits } from '../../src/core/model/limit.js';
import { seededRandom } from '../../src/core/random.js';
import type { LimitEnv } from '../../src/resilience/ratelimit/env.js';
import { requestLimits } from '../../src/resilience/ratelimit/request-limits.js';
import { LimitStores, type LimitStoresEnv } from '../../src/resilience/ratelimit/stores.js';
import { limitMatching } from '../../src/routing/limit-matching.js';
import { FakeClock } from './fake-clock.js';

/** A request of nobody in particular for `/`. */
export function limitRequest(of: Partial<LimitRequest> = {}): LimitRequest {
  return {
    protocol: 'http',
    scheme: 'http',
    method: 'GET',
    path: '/',
    host: 'shop',
    headers: headerFields(),
    remote: undefined,
    principal: undefined,
    claims: undefined,
    route: undefined,
    destination: undefined,
    deadline: Number.POSITIVE_INFINITY,
    cancellation: undefined,
    ...of,
  };
}

/** A rule that lets through 2 per minute, in fixed windows, and what it is asked to be instead. */
export const limitRule = (of: Partial<LimitRule> = {}): LimitRule => ({
  name: 'rule',
  key: [],
  limit: { algorithm: 'fixed_window', requests: 2, perMs: 60_000 },
  mode: 'enforce',
  store: { kind: 'local' },
  onStoreFailure: 'allow',
  ...of,
});

/** What limits need, on a fake clock; what they tell is in `events`. */
export function limitsEnv(of: Partial<Pick<LimitStoresEnv, 'redis' | 'rls' | 'maxKeys'>> & Partial<LimitEnv> = {}) {
  const clock = new FakeClock(0, 1_700_000_400_000);
  const random = seededRandom(1);
  const events: MeshEvent[] = [];
  const meter = { event: (event: MeshEvent) => void events.push(event) };
  const { redis, rls, maxKeys, ...rest } = of;
  const stores = new LimitStores({ clock, random, meter, logger: silentLogger, redis, rls, maxKeys });
  const env: LimitEnv = { clock, meter, stores, matching: limitMatching({ random }), service: undefined, ...rest };
  const compile = (rules: readonly LimitRule[], reply: Partial<RouteLimits> = {}) =>
    requestLimits({ ...DEFAULT_LIMIT_REPLY, rules, ...reply }, env);
  return { clock, events, env, stores, compile };
}
