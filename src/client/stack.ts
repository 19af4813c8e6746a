import { callDeadline, routeDeadline } from '../resilience/deadline/deadline.js';
import { attemptIdleTimeout, attemptTimeout, callIdleTimeout } from '../resilience/deadline/attempt-timeout.js';
import { breaking, type DestinationBreaker } from '../resilience/breaker/filter.js';
import { type CircuitLimits, requestLimit } from '../resilience/concurrency/circuit-limits.js';
import type { RetryEnv } from '../resilience/retry/attempt.js';
import { type Fallback, fallingBack, type FallbackEnv } from '../resilience/fallback/fallback.js';
import { ownFallback } from '../resilience/fallback/own.js';
import { faults } from '../resilience/fault/filter.js';
import { limited } from '../resilience/ratelimit/filter.js';
import { ReplayBody } from '../resilience/retry/replay.js';
import { retry } from '../resilience/retry/retry.js';
import type { ClusterLoad } from '../core/load-reports.js';
import type { ClusterConfig } from '../core/model/cluster.js';
import { DEFAULT_RETRY, type ForwardAction, type Route } from '../core/model/route.js';
import type { Filter } from '../core/service.js';
import { anyHeader } from '../routing/match/any-header.js';
import { carryDeadline } from './endpoints/carry.js';
import { drops } from './endpoints/drops.js';
import type { Upstream } from './endpoints/upstream.js';
import type { ClientEnv } from './env.js';
import { type ExtraLoad, hedged } from './hedging.js';
import { observe } from './observe.js';

/*
 * The request path, in order, on one page. Composed when configuration changes, run for every call; what is not configured is not in it.
 *
 *   callFilters -> destination (client/destinations.ts) -> route (client/router/) -> entryFilters -> routeFilters -> attemptFilters -> clusterFilters -> pick -> transport
 */

/** Once per call, before its destination is looked up. */
export const callFilters = (env: ClientEnv, hold: FallbackEnv['hold']): Filter[] => [
  observe(env), // outermost: must also see what everything below refuses
  callDeadline(env), // above the destination: the time limit covers waiting for configuration as well
  ownFallback({ clock: env.clock, logger: env.logger, meter: env.meter, hold }), // likewise, below the deadline: what a call brings along answers where nothing is known of its destination, too
];

/**
 * Once per call, for the route and the cluster that it chose, before the route changes anything about the call: what stands in front of Envoy's router
 * sees it as it came, too. `replies`: what the route changes about replies, for those that are made here.
 */
export const entryFilters = (
  action: ForwardAction,
  policies: Pick<Route, 'limits' | 'faults'>,
  cluster: Pick<Upstream, 'hold'> & { readonly name: string },
  replies: Filter | undefined,
  env: ClientEnv,
): Filter[] =>
  present([
    callIdleTimeout(action.idleTimeoutMs, env), // above retry: a back-off is no life either
    routeDeadline(action, env), // above all that waits: one deadline covers delays, every attempt and every backoff
    ...policyFilters(policies, cluster, replies, env),
  ]);

/** What a route asks of its calls, whoever answers them. `name`: of the cluster; undefined: the route answers by itself. */
export const policyFilters = (
  policies: Pick<Route, 'limits' | 'faults'>,
  cluster: Pick<Upstream, 'hold'> & { readonly name: string | undefined },
  replies: Filter | undefined,
  env: ClientEnv,
): Filter[] =>
  present([
    limited(policies.limits, env.limits, (call) => cluster.hold(call)), // above faults: what is refused is no part of an experiment
    faults(policies.faults, {
      clock: env.clock,
      random: env.random,
      meter: env.meter,
      logger: env.logger,
      headers: anyHeader,
      cluster: cluster.name,
      hold: (call) => cluster.hold(call),
      replies,
    }), // above fallback and retry: what goes wrong on purpose, the application sees
  ]);

/** Once per call, for the route and the cluster that it chose, which may be an aggregate. `own`: by policies that calls bring along. */
export const routeFilters = (
  action: ForwardAction,
  cluster: Upstream,
  use: FallbackEnv['use'],
  env: ClientEnv,
  own: { readonly extra: ExtraLoad; readonly fallback: boolean; readonly hedge: boolean },
): Filter[] =>
  present([
    fallbacks(cluster.fallback, cluster.statName, cluster, use, own.fallback, env), // above retry: when all attempts have failed; below the deadline: it covers the fallback too
    retries(action, cluster, own, env), // above the balancer: each attempt may choose another endpoint
  ]);

/** The same, where the cluster cannot be called, and what stands in for it is known. What stands before the cluster (`entryFilters`) holds all the same. */
export const troubleFilters = (
  trouble: Pick<FallbackEnv, 'hold'> & { readonly cluster: string; readonly fallback: Fallback | undefined },
  use: FallbackEnv['use'],
  env: ClientEnv,
  overruled: boolean,
): Filter[] => present([fallbacks(trouble.fallback, trouble.cluster, trouble, use, overruled, env)]);

const fallbacks = (
  of: Fallback | undefined,
  cluster: string,
  held: Pick<FallbackEnv, 'hold'>,
  use: FallbackEnv['use'],
  overruled: boolean,
  { clock, meter }: ClientEnv,
): Filter | undefined =>
  fallingBack(of, {
    clock,
    meter,
    cluster,
    use,
    hold: (call) => held.hold(call),
    overruled,
    replay: (body) => new ReplayBody(body),
  });

/** One attempt after the other, or one beside the other. */
function retries(
  action: ForwardAction,
  cluster: Upstream,
  own: { readonly extra: ExtraLoad; readonly hedge: boolean },
  env: ClientEnv,
): Filter {
  const retryEnv: RetryEnv = {
    clock: env.clock,
    random: env.random,
    meter: env.meter,
    cluster: cluster.statName,
    limits: cluster.limits,
    others: (tried, call) => cluster.others(tried, call),
    hold: (call) => cluster.hold(call),
    headers: anyHeader,
    // Read through the cluster: an update may replace it.
    get budget() {
      return cluster.budget;
    },
  };
  const filter = retry(action.retry ?? DEFAULT_RETRY, retryEnv);
  return action.hedge === undefined ? filter : hedged(action.hedge, action, cluster, own, env, retryEnv, filter);
}

/** Once per attempt, by the route's settings. */
export const attemptFilters = (action: ForwardAction, env: ClientEnv): Filter[] =>
  present([
    action.hedge?.onPerTryTimeout ? undefined : attemptTimeout(action.retry?.perTryTimeoutMs, env), // below retry: what took too long can be tried elsewhere
    attemptIdleTimeout(action.retry?.perTryIdleTimeoutMs, env), // likewise: what stands still
  ]);

/** Once per attempt, by the cluster's settings. */
export const clusterFilters = (
  config: ClusterConfig,
  limits: CircuitLimits,
  breaker: DestinationBreaker | undefined,
  load: ClusterLoad | undefined,
  env: ClientEnv,
): Filter[] =>
  present([
    drops(config, load, env), // "Drops before the breaker" - gRFC A32: what is dropped does not count as a request
    requestLimit(limits), // above the pick: a refused attempt loads no endpoint
    breaking(breaker), // below the limits: what they refuse is no probe
    carryDeadline(env), // last: what is left now is what the server is told
  ]);

const present = (filters: (Filter | undefined)[]): Filter[] => filters.filter((filter) => filter !== undefined);
