import { MeshError } from '../../core/errors.js';
import type { CircuitLimitsConfig } from '../../core/model/cluster.js';
import type { Meter } from '../../core/meter.js';
import type { Filter } from '../../core/service.js';
import type { ConnectionLimits } from '../../core/transport.js';

/** Envoy's names of the limits, as they stand in the configuration. */
export type CircuitLimit = 'max_connections' | 'max_pending_requests' | 'max_requests' | 'max_retries' | 'retry_budget';

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
  ) {
    super(
      `cluster "${cluster}": ${limit} already under way (${circuit}); raise the limit in its TrafficPolicy or send less at once`,
    );
  }
}

/**
 * Envoy's circuit limits of one cluster, for all who call it in this process: "one counter per process per {cluster, EDS service name}, across
 * channels" (gRFC A32). Exact: taken and given back in the same turn as the thing they count, so that 20 calls in one tick against a limit
 * of 3 let 3 through. Defaults: 1024 connections, 1024 pending, 1024 requests; retries by the budget.
 */
export class CircuitLimits implements ConnectionLimits {
  /** Now under way. Written by the try and done methods only; kept when the configuration changes. */
  requests = 0;
  retries = 0;
  connections = 0;
  pending = 0;

  constructor(
    private readonly cluster: string,
    private config: CircuitLimitsConfig,
    private readonly meter: Meter,
  ) {}

  update(config: CircuitLimitsConfig): void {
    this.config = config;
  }

  tryRequest(): boolean {
    if (this.requests >= this.config.maxRequests) return this.#refuse('max_requests');
    this.requests++;
    return true;
  }

  requestDone(): void {
    this.requests--;
  }

  /** Retries go by a budget of the limits' own (Envoy `retry_budget`), not by the cluster's. */
  get budgeted(): boolean {
    return this.config.activeRetryBudget !== undefined;
  }

  tryRetry(): boolean {
    const budget = this.config.activeRetryBudget;
    if (budget !== undefined) {
      // Whole ones: "std::max<uint64_t>(budget_percent / 100.0 * current_active, min_retry_concurrency)" - Envoy, resource_manager_impl.h
      const allowed = Math.max(Math.floor(budget.share * (this.requests + this.pending)), budget.minConcurrency);
      if (this.retries >= allowed) return this.#refuse('retry_budget');
      this.retries++;
      return true;
    }
    const limit = this.config.maxRetries;
    if (limit !== undefined && this.retries >= limit) return this.#refuse('max_retries');
    this.retries++;
    return true;
  }

  retryDone(): void {
    this.retries--;
  }

  tryOpen(first: boolean): boolean {
    if (!first && this.connections >= this.config.maxConnections) return this.#refuse('max_connections');
    this.connections++;
    return true;
  }

  closed(): void {
    this.connections--;
  }

  tryWait(): boolean {
    if (this.pending >= this.config.maxPendingRequests) return this.#refuse('max_pending_requests');
    this.pending++;
    return true;
  }

  waited(): void {
    this.pending--;
  }

  overflow(): CircuitOpenError {
    return new CircuitOpenError(this.cluster, 'max_pending_requests', this.config.maxPendingRequests);
  }

  tooManyRequests(): CircuitOpenError {
    return new CircuitOpenError(this.cluster, 'max_requests', this.config.maxRequests);
  }

  #refuse(limit: CircuitLimit): false {
    this.meter.event({ kind: 'circuit:open', cluster: this.cluster, limit });
    return false;
  }
}

/** Counts each attempt against `max_requests`: "excess → UNAVAILABLE at once, never queued or retried" - A32. */
export const requestLimit =
  (limits: CircuitLimits): Filter =>
  (next) =>
  (call) => {
    if (!limits.tryRequest()) return Promise.reject(limits.tooManyRequests());
    const done = (): void => limits.requestDone();
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
