import type {
  ApertureConfig,
  BalancerConfig,
  LocalityConfig,
  SlowStartConfig,
  SubsetConfig,
} from '../../core/model/balancer.js';

/** How endpoints are chosen: which there are to choose from, and by what. Absent parts as in `ClusterConfig`. */
export interface LoadBalancing {
  readonly balancer: BalancerConfig;
  readonly locality: LocalityConfig | undefined;
  readonly slowStart: SlowStartConfig | undefined;
  readonly subsets: SubsetConfig | undefined;
  readonly aperture: ApertureConfig | undefined;
}

/** By one balancer and nothing else. `locality` undefined: by weight. */
export function plainly(balancer: BalancerConfig, locality?: LocalityConfig, slow?: SlowStartConfig): LoadBalancing {
  return { balancer, locality, slowStart: slow, subsets: undefined, aperture: undefined };
}
