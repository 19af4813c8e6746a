/** How an endpoint is chosen. Each kind has a file in `client/balancer/`. */
export type BalancerConfig =
  | { readonly kind: 'round_robin' }
  | { readonly kind: 'random' }
  /**
   * Envoy `LeastRequest.choice_count`, gRFC A48: clipped to [2, 10]. With `activeRequestBias`, Envoy's weighted kind where weights differ: weight ÷
   * (active requests + 1) ^ bias, in a schedule; absent: draws by weight and compares by load.
   */
  | {
      readonly kind: 'least_request';
      readonly choiceCount: number;
      readonly activeRequestBias?: number | undefined;
      /** Every endpoint is looked at, not `choiceCount` of them; among equals chance decides (Envoy `selection_method: FULL_SCAN`). Default false. */
      readonly fullScan?: boolean | undefined;
    }
  /** Finagle's p2cPeakEwma. */
  | { readonly kind: 'peak_ewma'; readonly decayMs: number; readonly defaultRttMs: number }
  | WeightedRoundRobinConfig
  /** gRFC A42, A76. Sizes are of the ring. `requestHashHeader`: hash this header in place of the route's hash policies. */
  | {
      readonly kind: 'ring_hash';
      readonly minSize: number;
      readonly maxSize: number;
      readonly requestHashHeader?: string | undefined;
      /** Hash `EndpointConfig.hostname` in place of the address (`use_hostname_for_hashing`). */
      readonly useHostname?: boolean | undefined;
      /**
       * No endpoint has more than this times the average load of calls under way; a call beyond goes on to the next one (bounded loads, Envoy
       * `hash_balance_factor` ÷ 100). At least 1; absent: no bound.
       */
      readonly balanceFactor?: number | undefined;
    }
  | {
      readonly kind: 'maglev';
      readonly tableSize: number;
      readonly useHostname?: boolean | undefined;
      /** As of ring hash. */
      readonly balanceFactor?: number | undefined;
    }
  /** gRFC A62: one endpoint, the first that connects, and all calls to it. */
  | { readonly kind: 'pick_first'; readonly shuffle: boolean }
  /** One that the application has registered under this name (gRFC A52), with its part of the configuration. */
  | { readonly kind: 'custom'; readonly name: string; readonly config: unknown };

/** linkerd2-proxy, profile.rs and control.rs: decay 10 s, an endpoint not yet seen counts as 30 ms. */
export const DEFAULT_BALANCER: BalancerConfig = { kind: 'peak_ewma', decayMs: 10_000, defaultRttMs: 30 };

/** Weights by what the endpoints report of themselves (gRFC A58, A114). */
export interface WeightedRoundRobinConfig {
  readonly kind: 'weighted_round_robin';
  /** Reports come on a stream of their own, not with the replies. Default false. */
  readonly outOfBand: boolean;
  /** Milliseconds between them. Default 10_000. */
  readonly outOfBandPeriodMs: number;
  /** How long an endpoint must have reported before it is believed, in milliseconds. Default 10_000; 0 for not at all. */
  readonly blackoutMs: number;
  /** How long a report is believed, in milliseconds. Default 180_000. */
  readonly expirationMs: number;
  /** Milliseconds between two looks at the weights. Default 1_000, at least 100. */
  readonly updateMs: number;
  /** What an error per second weighs against utilisation. Default 1. */
  readonly errorPenalty: number;
  /** Metrics to take for utilisation, the highest of them (gRFC A114); empty: application utilisation, else CPU. */
  readonly metrics: readonly string[];
}

export const DEFAULT_WEIGHTED_ROUND_ROBIN: WeightedRoundRobinConfig = {
  kind: 'weighted_round_robin',
  outOfBand: false,
  outOfBandPeriodMs: 10_000,
  blackoutMs: 10_000,
  expirationMs: 180_000,
  updateMs: 1_000,
  errorPenalty: 1,
  metrics: [],
};

/** An endpoint that has just become usable gets its share little by little (Envoy `SlowStartConfig`, Istio `warmup`). */
export interface SlowStartConfig {
  readonly windowMs: number;
  /** 1: linear; more: quicker at first. Default 1. */
  readonly aggression: number;
  /** Least share of its weight, in (0, 1]. Default 0.1. */
  readonly minWeight: number;
}

/** How traffic is shared among localities of one priority. */
export type LocalityConfig =
  /** By their weights (gRPC `wrr_locality`, Envoy `locality_weighted_lb_config`): the default. */
  | { readonly kind: 'weighted' }
  /** By their endpoints' weights alone. */
  | { readonly kind: 'none' }
  /** To the caller's own zone as far as its share of the endpoints goes (Envoy `zone_aware_lb_config`). */
  | {
      readonly kind: 'zone_aware';
      /** Share of calls for which it holds, in [0, 1]. Default 1. */
      readonly enabled: number;
      /** With fewer endpoints it does not hold. Default 6. */
      readonly minClusterSize: number;
      /** All calls to the own zone, as long as it has this many usable endpoints; undefined: in proportion (Envoy `force_local_zone`). */
      readonly forceLocal: number | undefined;
      /** Refuse calls in panic in place of sending them anywhere. */
      readonly failTrafficOnPanic: boolean;
    };

/** Envoy's way with priorities; absent, gRFC A56's holds: a priority serves all or nothing. */
export interface PriorityConfig {
  /** A priority takes its whole share as long as its usable share × this is 1 or more. Default 1.4. */
  readonly overprovisioningFactor: number;
}

/** Endpoints by label (Envoy `LbSubsetConfig`, Istio `subsets`). */
export interface SubsetConfig {
  /** For calls whose labels no endpoint has: fail, any endpoint, those with `defaultSubset`, or (of a selector only) those that have `fallbackKeys` of them. */
  readonly fallback: 'none' | 'any' | 'default';
  readonly defaultSubset: Readonly<Record<string, string>>;
  /** Sets of label names by which calls may ask. */
  readonly selectors: readonly {
    readonly keys: readonly string[];
    readonly fallback?: SubsetConfig['fallback'] | 'keys' | undefined;
    /** Some of `keys`: what is asked for again when no endpoint has all (Envoy `KEYS_SUBSET`). Only with `fallback: 'keys'`. */
    readonly fallbackKeys?: readonly string[] | undefined;
  }[];
}

/** Only some of the endpoints of each priority for each client, so that connections do not grow as clients × endpoints; whatever connects knows these only. */
export type ApertureConfig =
  /** gRFC A68: the `size` endpoints that rank first for this client. */
  | { readonly kind: 'random_subsetting'; readonly size: number }
  /** Finagle's deterministic aperture: this client's arc of the ring, with at least `floor` endpoints (default 12). */
  | {
      readonly kind: 'deterministic_aperture';
      readonly floor: number;
      /** This client's place among its peers; undefined: asked of `MeshOptions.peer`, and without one random subsetting of `floor`. */
      readonly peer: { readonly index: number; readonly count: number } | undefined;
    };
