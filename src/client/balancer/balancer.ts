import type { ClusterConfig } from '../../core/model/cluster.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { custom } from './custom.js';
import { leastRequest } from './least-request.js';
import { weigh, weighty } from './locality.js';
import { maglev } from './maglev.js';
import { peakEwma } from './peak-ewma.js';
import { pickFirst } from './pick-first.js';
import type { BalancerEnv, PickRequest, Policy } from './policy.js';
import { random } from './random.js';
import { ReportFeed } from './report-feed.js';
import { ringHash } from './ring-hash.js';
import { roundRobin } from './round-robin.js';
import { slowStart } from './slow-start.js';
import { subsets } from './subset.js';
import { weightedRoundRobin } from './weighted-round-robin.js';
import { openWrrCounts } from './wrr-gauges.js';
import { zoneAware } from './zone-aware.js';

export { type BalancerFactory, isBalancerRegistered, registerBalancer } from './custom.js';
export type { BalancerEnv, PickRequest, Policy } from './policy.js';

/** Chooses among the endpoints of one priority that may be used. */
export interface Balancer {
  /**
   * The endpoints that may be used from now on. Those that remain keep their load, and the balancer what it knows of them. `configured`: all of the
   * priority, those that may not be used as well; default the same. A subset is there as long as one of these has its labels, and Envoy's locality
   * weights count them.
   */
  update(endpoints: readonly Endpoint[], configured?: readonly Endpoint[]): void;
  /** An endpoint, one not in `tried` when there is any; undefined when there is none that the call may go to. */
  pick(request: PickRequest): Endpoint | undefined;
  /** Whether this call may be the one that looks whether an endpoint that could not be reached is back. */
  admits(endpoint: Endpoint, request: PickRequest): boolean;
  /** Ends its streams; it is not used again. */
  close(): void;
}

/** What of a cluster's configuration says how an endpoint is chosen: as long as it is the same, the balancer can stay. */
export type BalancingConfig = Pick<ClusterConfig, 'balancer' | 'locality' | 'priorities' | 'slowStart' | 'subsets'> & {
  readonly name?: string;
};

/** Whether `env.hash64` must be there before a cluster of this configuration. */
export function needsHash64({ balancer, aperture }: Pick<ClusterConfig, 'balancer' | 'aperture'>): boolean {
  return balancer.kind === 'ring_hash' || balancer.kind === 'maglev' || aperture !== undefined;
}

/** Whether the hash of a call has a say in where it goes; what an application registered may ask for it. */
export const choosesByHash = ({ balancer }: Pick<BalancingConfig, 'balancer'>): boolean =>
  balancer.kind === 'ring_hash' || balancer.kind === 'maglev' || balancer.kind === 'custom';

/** Equal for configurations that the same balancer serves. */
export const balancingKey = ({ balancer, locality, priorities, slowStart, subsets }: BalancingConfig): string =>
  JSON.stringify([balancer, locality, priorities, slowStart, subsets]);

/**
 * The order, on one page; what is not configured is not in it.
 *
 *   weights by locality -> slow start -> subset by label -> zone -> policy
 *
 * Slow start above the subsets: it looks at each endpoint once. Each subset, and each zone in it, has a policy of its own. Which endpoints this client
 * uses at all is settled before (`endpoints/aperture.ts`).
 */
export function createBalancer(config: BalancingConfig, env: BalancerEnv): Balancer {
  const { make, close } = policyOf(config, env);
  const zone =
    config.locality?.kind === 'zone_aware' && !SETTLED.has(config.balancer.kind) ? config.locality : undefined;
  const inZones = (): Policy => (zone === undefined ? make() : zoneAware(zone, make, env));
  const bySubset = config.subsets === undefined ? undefined : subsets(config.subsets, inZones);
  const inSubsets = bySubset ?? inZones();
  const top =
    config.slowStart === undefined ||
    SETTLED.has(config.balancer.kind) ||
    config.balancer.kind === 'weighted_round_robin'
      ? inSubsets
      : slowStart(config.slowStart, inSubsets, env);
  return {
    update(list, configured = list) {
      const { endpoints, weights } = weigh(list, configured, config);
      bySubset?.configure(weighty(endpoints, configured, config));
      top.update(endpoints, weights);
    },
    pick: (request) => top.pick(request),
    admits: (endpoint, request) => top.admits?.(endpoint, request) ?? true,
    close() {
      top.close?.();
      close?.();
    },
  };
}

/** These choose by what a call or an order says: other zones and warming up would only move what is settled (Envoy has neither for its hashes). */
const SETTLED: ReadonlySet<BalancingConfig['balancer']['kind']> = new Set(['ring_hash', 'maglev', 'pick_first']);

interface Policies {
  /** Policies that share what they have to. */
  readonly make: () => Policy;
  /** Ends what is shared. */
  readonly close?: () => void;
}

function policyOf({ name, balancer, locality }: BalancingConfig, env: BalancerEnv): Policies {
  switch (balancer.kind) {
    case 'round_robin':
      return { make: () => roundRobin(env) };
    case 'random':
      return { make: () => random(env) };
    case 'least_request':
      return { make: () => leastRequest(balancer, env) };
    case 'peak_ewma':
      return { make: () => peakEwma(env) };
    case 'ring_hash':
      return { make: () => ringHash(balancer, env) };
    case 'maglev':
      return { make: () => maglev(balancer, env) };
    case 'pick_first':
      return { make: () => pickFirst(balancer, env) };
    case 'custom':
      return { make: () => custom(balancer, env) };
    case 'weighted_round_robin': {
      const feed = new ReportFeed(balancer, env);
      const gauges = env.meter === undefined || name === undefined ? undefined : openWrrCounts(name, env.meter);
      const byLocality = locality === undefined || locality.kind === 'weighted';
      const parts = { feed, counts: gauges?.counts, byLocality };
      return { make: () => weightedRoundRobin(balancer, parts, env), ...(gauges && { close: gauges.close }) };
    }
  }
}
