import type { Clock } from '../../core/clock.js';
import type { Meter } from '../../core/meter.js';
import {
  type AggregateClusterConfig,
  DEFAULT_CIRCUIT_LIMITS,
  type RetryBudgetConfig,
} from '../../core/model/cluster.js';
import { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { RetryBudget } from '../../resilience/retry/budget.js';

/** What all who call an aggregate cluster have in common, whatever its leaves are. */
export class AggregateShare {
  /** Of retries, and of calls that wait for a leaf; requests and connections are each leaf's. */
  readonly limits: CircuitLimits;
  budget: RetryBudget;
  #budget: RetryBudgetConfig;

  constructor(
    config: AggregateClusterConfig,
    private readonly env: { readonly clock: Clock; readonly meter: Meter },
  ) {
    this.limits = new CircuitLimits(config.statName, limitsOf(config), env.meter);
    this.#budget = config.retryBudget;
    this.budget = new RetryBudget(config.retryBudget, env.clock);
  }

  update(config: AggregateClusterConfig): void {
    this.limits.update(limitsOf(config));
    // Equal ones are the same object.
    if (config.retryBudget === this.#budget) return;
    this.#budget = config.retryBudget;
    this.budget = new RetryBudget(config.retryBudget, this.env.clock);
  }
}

const limitsOf = ({ maxRetries }: AggregateClusterConfig) => ({ ...DEFAULT_CIRCUIT_LIMITS, maxRetries });
