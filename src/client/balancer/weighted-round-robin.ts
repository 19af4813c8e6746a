import type { WeightedRoundRobinConfig } from '../../core/model/balancer.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { avoiding } from './avoid.js';
import { type LoadWeight, loadWeightOf, STALE } from './load-weight.js';
import { localityKey } from './locality.js';
import { Lottery } from './lottery.js';
import type { BalancerEnv, Policy, Weights } from './policy.js';
import type { ReportFeed } from './report-feed.js';
import { randomStride, StaticStride, type StridePosition } from './static-stride.js';
import type { WrrCounts } from './wrr-gauges.js';

/** "Values less than 100ms are capped at 100ms" - gRFC A58. */
const MIN_UPDATE_MS = 100;

export interface WeightedRoundRobinParts {
  readonly feed: ReportFeed;
  readonly counts: WrrCounts | undefined;
  /** Localities have shares of their own, and load decides within each: what `wrr_locality` above the policy does in gRPC. */
  readonly byLocality: boolean;
}

/** Endpoints that share their part of the traffic by load. */
interface Group {
  readonly endpoints: readonly Endpoint[];
  readonly loads: readonly LoadWeight[];
  readonly position: StridePosition;
  stride: StaticStride;
}

/**
 * Round robin by what the endpoints report of themselves: qps ÷ utilisation (gRFC A58). Those that have not reported count as the mean of the others;
 * with less than two that have, all are equal. Weights are looked at every `updateMs`, by the pick that finds it due: no timer.
 */
export function weightedRoundRobin(
  config: WeightedRoundRobinConfig,
  { feed, counts, byLocality }: WeightedRoundRobinParts,
  env: BalancerEnv,
): Policy {
  const updateMs = Math.max(MIN_UPDATE_MS, config.updateMs);
  let members: ReadonlySet<Endpoint> = new Set();
  let endpoints: readonly Endpoint[] = [];
  let groups: readonly Group[] = [];
  let positions = new Map<string, StridePosition>();
  let lottery = new Lottery(0, [], env.random);
  let nextLook = 0;

  const look = (now: number): void => {
    nextLook = now + updateMs;
    for (const group of groups) group.stride = new StaticStride(weigh(group, config, counts, now), group.position);
  };
  const draw = (): Endpoint | undefined => {
    const group = groups[lottery.draw()];
    return group?.endpoints[group.stride.next()];
  };

  return {
    update(list, weights) {
      const after = new Set(list);
      feed.change(members, after);
      // Unreachable endpoints are left out until they are back.
      for (const endpoint of members) if (!after.has(endpoint)) forgetIfLost(endpoint);
      members = after;
      endpoints = list;
      const before = positions;
      positions = new Map();
      const shares: number[] = [];
      groups = [...grouped(list, weights, byLocality)].map(([name, { endpoints: members, share }]) => {
        const position = before.get(name) ?? randomStride(env.random, members.length);
        positions.set(name, position);
        shares.push(share);
        const loads = members.map(loadWeightOf);
        return {
          endpoints: members,
          loads,
          position,
          stride: new StaticStride(new Float64Array(loads.length), position),
        };
      });
      lottery = new Lottery(groups.length, shares, env.random);
      look(env.clock.now());
    },
    pick({ tried }) {
      const now = env.clock.now();
      if (now >= nextLook) look(now);
      return avoiding(tried, endpoints, 4, draw);
    },
    close() {
      feed.change(members, new Set());
      members = new Set();
    },
  };
}

function weigh(
  { endpoints, loads }: Group,
  config: WeightedRoundRobinConfig,
  counts: WrrCounts | undefined,
  now: number,
): Float64Array {
  const weights = new Float64Array(loads.length);
  let usable = 0;
  for (const [i, load] of loads.entries()) {
    forgetIfLost(endpoints[i] as Endpoint);
    const weight = load.value(config, now);
    counts?.weighed(Math.max(0, weight));
    if (weight > 0) {
      weights[i] = weight;
      usable++;
    } else if (counts !== undefined) {
      if (weight === STALE) counts.stale++;
      else counts.notYetUsable++;
    }
  }
  // "When less than two subchannels have load info, all subchannels will get the same weight" - gRFC A58
  if (usable < 2) {
    if (counts !== undefined) counts.fallbacks++;
    weights.fill(0);
  }
  return weights;
}

function forgetIfLost(endpoint: Endpoint): void {
  if (endpoint.reach === 'unreachable') loadWeightOf(endpoint).disconnected();
}

function grouped(
  list: readonly Endpoint[],
  weights: Weights,
  byLocality: boolean,
): ReadonlyMap<string, { readonly endpoints: Endpoint[]; share: number }> {
  const groups = new Map<string, { readonly endpoints: Endpoint[]; share: number }>();
  for (const [i, endpoint] of list.entries()) {
    const name = byLocality ? localityKey(endpoint.config.locality) : '';
    let group = groups.get(name);
    if (group === undefined) {
      group = { endpoints: [], share: 0 };
      groups.set(name, group);
    }
    group.endpoints.push(endpoint);
    group.share += weights[i] as number;
  }
  return groups;
}
