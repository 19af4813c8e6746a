import type { LocalityConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { localityKey } from './locality.js';
import { Lottery } from './lottery.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';
import { type ZoneShares, zoneShares } from './zone-shares.js';

export type ZoneAwareConfig = Extract<LocalityConfig, { kind: 'zone_aware' }>;

interface Zone {
  readonly endpoints: Endpoint[];
  readonly weights: number[];
}

/**
 * Calls stay in the caller's own zone as far as its share of the endpoints goes, and what is too much for it goes where there is room to spare
 * (Envoy `zone_aware_lb_config`). Each zone has a policy of its own; another has all endpoints, for whenever the rule does not hold. It holds for
 * priority 0 only.
 */
export function zoneAware(config: ZoneAwareConfig, make: () => Policy, env: BalancerEnv): Policy {
  const everywhere = make();
  let policies = new Map<string, Policy>();
  let shares: ZoneShares | undefined;
  let others: { readonly names: readonly string[]; readonly lottery: Lottery } | undefined;
  let refuses = false;
  /** Who the callers were when the shares were found. */
  let callers: ReadonlyMap<string, number> | undefined;
  let list: readonly Endpoint[] = [];
  let weights: Weights = [];

  /** Finds the shares, and brings the policy of each zone up to date. */
  const share = (): void => {
    callers = env.localZones?.();
    const zones = byZone(list, weights);
    const before = policies;
    policies = new Map();
    // Unusable endpoints are given in panic only.
    const panic = list.some(({ health }) => health.verdict === 'unusable');
    refuses = panic && config.failTrafficOnPanic;
    shares = panic ? undefined : sharesOf(config, env.locality, list, zones, callers);
    others = undefined;
    if (shares !== undefined) {
      const residuals = [...shares.residual];
      others = {
        names: residuals.map(([name]) => name),
        lottery: new Lottery(
          residuals.length,
          residuals.map(([, residual]) => residual),
          env.random,
        ),
      };
      for (const [name, zone] of zones) {
        const policy = before.get(name) ?? make();
        policy.update(zone.endpoints, zone.weights);
        policies.set(name, policy);
      }
    }
    for (const [name, policy] of before) if (!policies.has(name)) policy.close?.();
  };

  const zoneOf = (): Policy | undefined => {
    if (shares === undefined || others === undefined) return undefined;
    if (config.enabled < 1 && env.random.next() >= config.enabled) return undefined;
    const own = shares.own >= 1 || env.random.next() < shares.own;
    return policies.get(own ? shares.name : (others.names[others.lottery.draw()] as string));
  };

  return {
    update(endpoints, weighed) {
      list = endpoints;
      weights = weighed;
      everywhere.update(list, weights);
      share();
    },
    pick(request) {
      if (env.localZones?.() !== callers) share();
      if (refuses) return undefined;
      const picked = zoneOf()?.pick(request);
      // All of the zone has been tried, or the rule does not hold: anywhere.
      if (picked === undefined || request.tried?.includes(picked.key) === true) return everywhere.pick(request);
      return picked;
    },
    admits: (endpoint, request) => everywhere.admits?.(endpoint, request) ?? true,
    close() {
      everywhere.close?.();
      for (const policy of policies.values()) policy.close?.();
    },
  };
}

function byZone(list: readonly Endpoint[], weights: Weights): ReadonlyMap<string, Zone> {
  const zones = new Map<string, Zone>();
  for (const [i, endpoint] of list.entries()) {
    const name = localityKey(endpoint.config.locality);
    let zone = zones.get(name);
    if (zone === undefined) {
      zone = { endpoints: [], weights: [] };
      zones.set(name, zone);
    }
    zone.endpoints.push(endpoint);
    zone.weights.push(weights[i] as number);
  }
  return zones;
}

/** Undefined: all zones alike. */
function sharesOf(
  { minClusterSize, forceLocal }: ZoneAwareConfig,
  locality: BalancerEnv['locality'],
  list: readonly Endpoint[],
  zones: ReadonlyMap<string, Zone>,
  callers: ReadonlyMap<string, number> | undefined,
): ZoneShares | undefined {
  // "We only do locality routing for P=0" - Envoy; and not for small clusters, nor with one zone.
  if (locality === undefined || zones.size < 2 || list.length < minClusterSize || list[0]?.config.priority !== 0) {
    return undefined;
  }
  const upstream = new Map(Array.from(zones, ([name, zone]) => [name, zone.endpoints.length]));
  return zoneShares(localityKey(locality), upstream, callers, forceLocal);
}
