import type { Priority } from '../../core/call.js';
import { MeshError } from '../../core/errors.js';
import type { CircuitLimitsConfig, PriorityLimits } from '../../core/model/circuit-limits.js';
import type { Meter } from '../../core/meter.js';
import type { Filter } from '../../core/service.js';
import type { ConnectionLimits } from '../../core/transport.js';

/** Envoy's names of the limits, as they stand in the configuration, and our share of the first two for calls of priority `batch`. */
export type CircuitLimit =
  | 'max_connections'
  | 'max_pending_requests'
  | 'max_requests'
  | 'max_retries'
  | 'retry_budget'
  | 'batch_share';

/** A circuit limit of the cluster is reached: the call is refused at once, nothing was sent. */
export class CircuitOpenError extends MeshError {
  override readonly name = 'CircuitOpenError';
  readonly code = 'CIRCUIT_OPEN';
  readonly origin = 'mesh';
  readonly reached = 'no';
  readonly flag = 'UO';
  readonly grpcStatus = 14;
  readonly httpStatus = 503;
  constructor(
    readonly cluster: string,
    readonly circuit: CircuitLimit,
    readonly limit: number,
    readonly priority?: Priority | undefined,
  ) {
    const of = priority === undefined || priority === 'default' ? '' : `, priority ${priority}`;
    super(
      `cluster "${cluster}": ${limit} already under way (${circuit}${of}); raise the limit in its TrafficPolicy or send less at once`,
    );
  }
}

/** What calls of one priority have under way, and may have. */
class Lane {
  requests = 0;
  retries = 0;
  pending = 0;
  constructor(public limits: PriorityLimits) {}
}

/** Netflix concurrency-limits gives batch a tenth. */
const DEFAULT_BATCH_SHARE = 0.1;

/**
 * Envoy's circuit limits of one cluster, for all who call it in this process: "one counter per process per {cluster, EDS service name}, across
 * channels" (gRFC A32). Exact: taken and given back in the same turn as the thing they count, so that 20 calls in one tick against a limit
 * of 3 let 3 through. Defaults: 1024 connections, 1024 pending, 1024 requests; retries by the budget.
 *
 * Bulkheads by priority: `high` is held to limits of its own (Envoy's thresholds for HIGH), where there are such, so that it has room when the others have
 * filled theirs; else it shares theirs, for anybody can say of a request that it is important. `batch` counts with `default` and may have a share of its
 * limits, so that it cannot fill them.
 */
export class CircuitLimits implements ConnectionLimits {
  /** Now under way, as the counts of the lanes are. Written by the try and done methods only; kept when the configuration changes. */
  connections = 0;
  readonly #default: Lane;
  readonly #high: Lane;
  /** Of those that are counted in `default`, too. */
  readonly #batch: Lane;

  constructor(
    private readonly cluster: string,
    private config: CircuitLimitsConfig,
    private readonly meter: Meter,
  ) {
    this.#default = new Lane(config);
    this.#high = new Lane(config.high ?? config);
    this.#batch = new Lane(batchLimits(config));
  }

  /** Attempts under way, of all priorities; likewise the other two. */
  get requests(): number {
    return this.#default.requests + this.#high.requests;
  }

  get retries(): number {
    return this.#default.retries + this.#high.retries;
  }

  get pending(): number {
    return this.#default.pending + this.#high.pending;
  }

  update(config: CircuitLimitsConfig): void {
    this.config = config;
    this.#default.limits = config;
    this.#high.limits = config.high ?? config;
    this.#batch.limits = batchLimits(config);
  }

  tryRequest(priority?: Priority): boolean {
    const lane = this.#lane(priority);
    // As #held says it, without a look-up by name: every attempt comes here.
    const held = this.config.high === undefined ? this.requests : lane.requests;
    if (held >= lane.limits.maxRequests) return this.#refuse('max_requests', priority);
    if (priority === 'batch') {
      if (this.#batch.requests >= this.#batch.limits.maxRequests) return this.#refuse('batch_share', priority);
      this.#batch.requests++;
    }
    lane.requests++;
    return true;
  }

  requestDone(priority?: Priority): void {
    this.#lane(priority).requests--;
    if (priority === 'batch') this.#batch.requests--;
  }

  /** Retries go by a budget of the limits' own (Envoy `retry_budget`), not by the cluster's. */
  get budgeted(): boolean {
    return this.config.activeRetryBudget !== undefined;
  }

  tryRetry(priority?: Priority): boolean {
    const lane = this.#lane(priority);
    const budget = this.config.activeRetryBudget;
    if (budget !== undefined) {
      // Whole ones: "std::max<uint64_t>(budget_percent / 100.0 * current_active, min_retry_concurrency)" - Envoy, resource_manager_impl.h
      const allowed = Math.max(Math.floor(budget.share * this.#active(lane)), budget.minConcurrency);
      if (this.#held('retries', lane) >= allowed) return this.#refuse('retry_budget', priority);
      lane.retries++;
      return true;
    }
    const limit = lane.limits.maxRetries;
    if (limit !== undefined && this.#held('retries', lane) >= limit) return this.#refuse('max_retries', priority);
    lane.retries++;
    return true;
  }

  retryDone(priority?: Priority): void {
    this.#lane(priority).retries--;
  }

  tryOpen(first: boolean): boolean {
    if (!first && this.connections >= this.config.maxConnections) return this.#refuse('max_connections', undefined);
    this.connections++;
    return true;
  }

  closed(): void {
    this.connections--;
  }

  tryWait(priority?: Priority): boolean {
    const lane = this.#lane(priority);
    if (this.#held('pending', lane) >= lane.limits.maxPendingRequests)
      return this.#refuse('max_pending_requests', priority);
    if (priority === 'batch') {
      if (this.#batch.pending >= this.#batch.limits.maxPendingRequests) return this.#refuse('batch_share', priority);
      this.#batch.pending++;
    }
    lane.pending++;
    return true;
  }

  waited(priority?: Priority): void {
    this.#lane(priority).pending--;
    if (priority === 'batch') this.#batch.pending--;
  }

  overflow(priority?: Priority): CircuitOpenError {
    const lane = this.#lane(priority);
    const { limits } = lane;
    return this.#held('pending', lane) >= limits.maxPendingRequests || priority !== 'batch'
      ? new CircuitOpenError(this.cluster, 'max_pending_requests', limits.maxPendingRequests, priority)
      : new CircuitOpenError(this.cluster, 'batch_share', this.#batch.limits.maxPendingRequests, priority);
  }

  tooManyRequests(priority?: Priority): CircuitOpenError {
    const lane = this.#lane(priority);
    const { limits } = lane;
    return this.#held('requests', lane) >= limits.maxRequests || priority !== 'batch'
      ? new CircuitOpenError(this.cluster, 'max_requests', limits.maxRequests, priority)
      : new CircuitOpenError(this.cluster, 'batch_share', this.#batch.limits.maxRequests, priority);
  }

  #lane(priority: Priority | undefined): Lane {
    return priority === 'high' ? this.#high : this.#default;
  }

  /** What counts against the limits of a lane: its own, or both when they share them. Each is counted in its own all the same, as limits change. */
  #held(what: 'requests' | 'retries' | 'pending', lane: Lane): number {
    return this.config.high === undefined ? this.#default[what] + this.#high[what] : lane[what];
  }

  #active(lane: Lane): number {
    return this.#held('requests', lane) + this.#held('pending', lane);
  }

  #refuse(limit: CircuitLimit, priority: Priority | undefined): false {
    const name = priority === 'high' && this.config.high !== undefined ? `high.${limit}` : limit;
    this.meter.event({ kind: 'circuit:open', cluster: this.cluster, limit: name });
    return false;
  }
}

/** A share above nothing lets one call through, however low the limit is. */
function batchLimits({
  maxRequests,
  maxPendingRequests,
  batchShare = DEFAULT_BATCH_SHARE,
}: CircuitLimitsConfig): PriorityLimits {
  // The hair keeps a tenth of 30 from being less than 3.
  const share = (limit: number): number => (batchShare === 0 ? 0 : Math.max(1, Math.floor(limit * batchShare + 1e-9)));
  return { maxRequests: share(maxRequests), maxPendingRequests: share(maxPendingRequests), maxRetries: undefined };
}

/** Counts each attempt against `max_requests`: "excess → UNAVAILABLE at once, never queued or retried" - A32. */
export const requestLimit =
  (limits: CircuitLimits): Filter =>
  (next) =>
  (call) => {
    const { priority } = call;
    if (!limits.tryRequest(priority)) return Promise.reject(limits.tooManyRequests(priority));
    const done = (): void => limits.requestDone(priority);
    return next(call).then(
      (reply) => {
        reply.onEnd(done);
        return reply;
      },
      (error: unknown) => {
        done();
        throw error;
      },
    );
  };
