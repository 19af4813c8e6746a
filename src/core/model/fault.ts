import type { HeaderMatch } from './match.js';

/** A share in [0, 1]; rolled once per request and kind of fault, each by itself (gRFC A33, Envoy `HTTPFault`). */
type Share = number;

/** How many requests a kind of fault befalls. */
export interface FaultShare {
  readonly share: Share;
  /**
   * What a percentage header counts in (`percentage.denominator`): 5 of 100, of 10_000, of 1_000_000. "This header only sets numerator" - gRFC A33.
   * Absent: 100.
   */
  readonly of?: number | undefined;
}

/** How long a request is held up, in milliseconds. */
export type FaultDelay =
  | { readonly kind: 'fixed'; readonly ms: number }
  /** Drawn anew for each: `uniform` between min and max; `normal` by mean and deviation, `exponential` by mean, both cut at max and never below 0. */
  | { readonly kind: 'uniform'; readonly minMs: number; readonly maxMs: number }
  | { readonly kind: 'normal'; readonly meanMs: number; readonly deviationMs: number; readonly maxMs: number }
  | { readonly kind: 'exponential'; readonly meanMs: number; readonly maxMs: number }
  /** `x-envoy-fault-delay-request` (milliseconds), and `x-envoy-fault-delay-request-percentage`, which lowers the share. */
  | { readonly kind: 'header' };

export type FaultAbort =
  | { readonly kind: 'http'; readonly status: number }
  | { readonly kind: 'grpc'; readonly status: number }
  /** `x-envoy-fault-abort-request`, `x-envoy-fault-abort-grpc-request`, and `x-envoy-fault-abort-request-percentage`. */
  | { readonly kind: 'header' };

/** A limit of the reply's body: `x-envoy-fault-throughput-response` (KiB/s) with `kind: 'header'`. */
export type FaultThrottle = { readonly kind: 'fixed'; readonly bytesPerSecond: number } | { readonly kind: 'header' };

/**
 * When an experiment ends by itself. Measured in this process on all calls of the routes that name it, faults included, as the application sees them, over
 * the last `windowMs` (1_000 to 3_600_000), once `minRequests` of them have ended.
 */
export type FaultGuard =
  /** The share of calls that succeed falls below `min`. */
  | { readonly kind: 'success-rate'; readonly min: Share; readonly windowMs: number; readonly minRequests: number }
  /** The `percentile` of the durations, a share in (0, 1), rises above `maxMs` (nearest rank: 0.99 of 200 is the 198th). */
  | {
      readonly kind: 'latency';
      readonly percentile: number;
      readonly maxMs: number;
      readonly windowMs: number;
      readonly minRequests: number;
    };

/** What goes wrong on purpose. Everything is off that is absent. */
export interface FaultConfig {
  /** For metrics and events: the policy's name. */
  readonly name: string;
  readonly delay?: (FaultDelay & FaultShare) | undefined;
  readonly abort?: (FaultAbort & FaultShare) | undefined;
  /** The connection is cut, without a head: the caller gets FAULT_INJECTED, a client of the proxy a reset. Goes before an abort. */
  readonly reset?: FaultShare | undefined;
  readonly throttle?: (FaultThrottle & FaultShare) | undefined;
  /** The reply's body breaks off after so many bytes. */
  readonly truncate?: (FaultShare & { readonly afterBytes: number }) | undefined;
  /** Only requests of which all of these match. */
  readonly headers: readonly HeaderMatch[];
  /** Only calls to this cluster (`upstream_cluster`). */
  readonly cluster?: string | undefined;
  /** Only calls from these nodes (`downstream_nodes`, header `x-envoy-downstream-service-node`). */
  readonly downstreamNodes?: readonly string[] | undefined;
  /** Faults under way at once, in the whole process (`max_active_faults`); absent: any number. */
  readonly maxActive?: number | undefined;
  /** Absent: as long as it is configured. */
  readonly experiment?:
    | {
        /** A stopped experiment stays stopped until this text changes. */
        readonly id: string;
        /** Milliseconds from when this process takes it up. */
        readonly durationMs: number;
        readonly guards: readonly FaultGuard[];
      }
    | undefined;
}
