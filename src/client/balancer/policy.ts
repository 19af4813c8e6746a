import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { Locality } from '../../core/model/endpoint.js';
import type { BackendMetrics } from '../../core/orca-report.js';
import type { Random } from '../../core/random.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { Hash64 } from './hash.js';

/** What of an attempt a choice may depend on. */
export interface PickRequest extends Partial<Pick<Call, 'tried' | 'hash' | 'affinity' | 'subset' | 'headers'>> {
  /** How many endpoints were drawn for the attempt before, and refused: what goes by a hash chooses another (Envoy `attempt`). Absent: none. */
  readonly draw?: number;
}

/** One number for each endpoint of a list, in any unit, each above 0. */
export type Weights = ArrayLike<number>;

/**
 * One way of choosing among endpoints that may be used. The endpoints themselves carry their load, and a policy keeps what it knows of those that
 * remain, so that an update forgets nothing.
 */
export interface Policy {
  /** The list from now on: endpoints came, went or weigh something else. */
  update(endpoints: readonly Endpoint[], weights: Weights): void;
  /** An endpoint of the last update, one not in `tried` when there is any; undefined when there is none at all. */
  pick(request: PickRequest): Endpoint | undefined;
  /**
   * Whether this call may be the one that looks whether an endpoint that could not be reached, and was left out of the update, is back. Absent:
   * any may.
   */
  admits?(endpoint: Endpoint, request: PickRequest): boolean;
  /** Ends its streams; it is not used again. */
  close?(): void;
}

/** What balancers are given from outside: one per mesh. */
export interface BalancerEnv {
  readonly clock: Clock;
  readonly random: Random;
  /** There before a configuration for which `needsHash64` holds. */
  readonly hash64?: Hash64 | undefined;
  /** Entries of a hash ring at most, whatever is configured (gRFC A42). Default 4_096; clients that are to agree need the same. */
  readonly ringSizeCap?: number | undefined;
  /** Opens a stream of load reports (gRFC A51) with about one every `periodMs`; the result ends it. */
  readonly outOfBand?:
    | ((endpoint: Endpoint, periodMs: number, onReport: (report: BackendMetrics, now: number) => void) => () => void)
    | undefined;
  /**
   * Calls under way in the whole cluster, the one that is balanced included, which bounded loads are shares of (Envoy `upstream_rq_active`). Absent: those
   * of the balancer's own endpoints, which takes a look at each.
   */
  readonly underWay?: (() => number) | undefined;
  /** Where this client runs, for zone-aware balancing. */
  readonly locality?: Locality | undefined;
  /**
   * How many instances of this client's own service, itself included, run in each locality (by `localityKey`); another object whenever that changes.
   * Undefined: not known.
   */
  readonly localZones?: (() => ReadonlyMap<string, number> | undefined) | undefined;
  readonly meter?: Pick<Meter, 'gauge' | 'record'> | undefined;
  readonly logger?: Pick<Logger, 'error'> | undefined;
}
