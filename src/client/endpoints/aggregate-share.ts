import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import type { AggregateClusterConfig } from '../../core/model/cluster.js';
import { type CircuitLimitsConfig, DEFAULT_CIRCUIT_LIMITS } from '../../core/model/circuit-limits.js';
import type { Service } from '../../core/service.js';
import { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { createFallback, type Fallback } from '../../resilience/fallback/fallback.js';
import type { FunctionEnv } from '../../resilience/fallback/function.js';
import { RetryBudget } from '../../resilience/retry/budget.js';
import type { Dependant } from './dependants.js';
import type { UnderWay } from './under-way.js';
import { WaitingRoom } from './waiting.js';

/** What of an aggregate is asked. */
export interface Newest {
  readonly reconnectsAt: number;
  readonly attempt: Service;
  standsInFor(leaf: string): boolean;
}

/** What all who call an aggregate cluster have in common, whatever its leaves are. */
export class AggregateShare implements Dependant {
  /** Of retries, and of calls that wait for a leaf; the limits of requests and connections are each leaf's. */
  readonly limits: CircuitLimits;
  budget: RetryBudget;
  fallback: Fallback | undefined;
  /** No target names the aggregate any more. Written by the registry. */
  released = false;
  /** With the leaves that the aggregate has now. Written by the registry. */
  newest: Newest | undefined;
  readonly #room: WaitingRoom;
  #config: AggregateClusterConfig;

  constructor(
    config: AggregateClusterConfig,
    private readonly env: FunctionEnv & { readonly clock: Clock; readonly meter: Meter },
    underWay: UnderWay,
  ) {
    this.limits = new CircuitLimits(config.statName, limitsOf(config), env.meter);
    const lookAgainAt = (): number => this.newest?.reconnectsAt ?? Number.POSITIVE_INFINITY;
    this.#room = new WaitingRoom({ clock: env.clock, limits: this.limits, underWay, lookAgainAt });
    this.#config = config;
    this.budget = new RetryBudget(config.retryBudget, env.clock);
    this.fallback = createFallback(config.fallback, env);
  }

  get busy(): boolean {
    const { retries, pending } = this.limits;
    return retries > 0 || pending > 0;
  }

  standsInFor(leaf: string): boolean {
    return (!this.released || this.busy) && (this.newest?.standsInFor(leaf) ?? false);
  }

  news(): void {
    this.#room.news();
  }

  /** A call that waits for ready: by whatever leaves there are, each time that it may go on. */
  readonly serve: Service = (call) => this.#room.serve(call, (again) => (this.newest as Newest).attempt(again));

  update(config: AggregateClusterConfig): void {
    this.limits.update(limitsOf(config));
    const before = this.#config;
    this.#config = config;
    // Equal ones are the same object.
    if (config.retryBudget !== before.retryBudget) this.budget = new RetryBudget(config.retryBudget, this.env.clock);
    if (config.fallback !== before.fallback) this.fallback = createFallback(config.fallback, this.env);
  }
}

/** Requests are only counted here, where a budget is a share of them. */
const limitsOf = ({ maxRetries, activeRetryBudget }: AggregateClusterConfig): CircuitLimitsConfig => ({
  ...DEFAULT_CIRCUIT_LIMITS,
  maxRequests: Number.POSITIVE_INFINITY,
  maxRetries,
  activeRetryBudget,
});
