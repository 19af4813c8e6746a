/** Envoy `OutlierDetection`, whose field each is in milliseconds, counts, or shares in [0, 1]. gRFC A50 knows the two statistical kinds. */
export interface OutlierConfig {
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionJitterMs: number;
  /** Share of endpoints that may be ejected at once. */
  readonly maxEjection: number;
  /** Undefined: this kind does not eject. `enforcing`: in [0, 1]. */
  readonly consecutive5xx: { readonly count: number; readonly enforcing: number } | undefined;
  readonly consecutiveGatewayFailure: { readonly count: number; readonly enforcing: number } | undefined;
  /** Errors of connections and timeouts on their own, not as a 5xx (`split_external_local_origin_errors`). */
  readonly consecutiveLocalOriginFailure: { readonly count: number; readonly enforcing: number } | undefined;
  readonly splitLocalOrigin: boolean;
  readonly successRate: SuccessRateEjection | undefined;
  readonly localOriginSuccessRate: SuccessRateEjection | undefined;
  readonly failurePercentage: FailurePercentageEjection | undefined;
  readonly localOriginFailurePercentage: FailurePercentageEjection | undefined;
  /** A passed active check brings an ejected endpoint back (`successful_active_health_check_uneject_host`). Default true. */
  readonly unejectOnHealthCheck: boolean;
  /** One endpoint may be ejected whatever `maxEjection` says (`always_eject_one_host`). Default true; over xDS false. */
  readonly alwaysEjectOne: boolean;
}

export interface SuccessRateEjection {
  /** Standard deviations below the mean. Default 1.9. */
  readonly stdevFactor: number;
  readonly enforcing: number;
  readonly minimumHosts: number;
  readonly requestVolume: number;
}

export interface FailurePercentageEjection {
  /** Share of failures from which on it is ejected. Default 0.85. */
  readonly threshold: number;
  readonly enforcing: number;
  readonly minimumHosts: number;
  readonly requestVolume: number;
}
