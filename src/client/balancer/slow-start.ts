import type { SlowStartConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';

/** Steps in which a window is gone through: each costs one look at all endpoints. */
const STEPS = 100;
const MIN_STEP_MS = 100;

/**
 * Endpoints that became usable less than `windowMs` ago get a part of their weight: max(minWeight, (age ÷ window) ^ (1 ÷ aggression)), Envoy's
 * formula. Weights are looked at again in steps, by the pick that finds it due, and only while an endpoint is in its window.
 */
export function slowStart(config: SlowStartConfig, policy: Policy, env: BalancerEnv): Policy {
  const stepMs = Math.max(MIN_STEP_MS, config.windowMs / STEPS);
  let endpoints: readonly Endpoint[] = [];
  let atRest: Weights = [];
  /** Monotonic milliseconds; Infinity while none is in its window. */
  let nextLook = Number.POSITIVE_INFINITY;
  const look = (now: number): void => {
    nextLook = Number.POSITIVE_INFINITY;
    const weights = new Float64Array(endpoints.length);
    for (const [i, endpoint] of endpoints.entries()) {
      const share = warmth(config, now - endpoint.health.usableSince);
      if (share < 1) nextLook = now + stepMs;
      weights[i] = (atRest[i] as number) * share;
      endpoint.weight = weights[i] as number;
    }
    policy.update(endpoints, weights);
  };
  return {
    update(list, weights) {
      endpoints = list;
      atRest = weights;
      look(env.clock.now());
    },
    pick(request) {
      if (nextLook !== Number.POSITIVE_INFINITY) {
        const now = env.clock.now();
        if (now >= nextLook) look(now);
      }
      return policy.pick(request);
    },
    admits: (endpoint, request) => policy.admits?.(endpoint, request) ?? true,
    close: () => policy.close?.(),
  };
}

/** Share of its weight that an endpoint gets so long after it became usable. */
export function warmth({ windowMs, aggression, minWeight }: SlowStartConfig, ageMs: number): number {
  if (ageMs >= windowMs) return 1;
  return Math.min(1, Math.max(minWeight, (Math.max(1, ageMs) / windowMs) ** (1 / aggression)));
}
