import type { WeightedRoundRobinConfig } from '../../core/model/balancer.js';
import type { BackendMetrics } from '../../core/orca-report.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import { loadWeightOf } from './load-weight.js';
import type { BalancerEnv } from './policy.js';

interface Subscription {
  users: number;
  readonly stop: () => void;
}

/**
 * Brings the endpoints' load reports to their weights: those that come with replies, or those of a stream of their own. Shared by the policies of
 * one balancer, some of which have endpoints in common (subsets, zones).
 */
export class ReportFeed {
  readonly #subscriptions = new Map<Endpoint, Subscription>();

  constructor(
    private readonly config: WeightedRoundRobinConfig,
    private readonly env: BalancerEnv,
  ) {
    if (config.outOfBand && env.outOfBand === undefined) {
      throw new Error('balancer weighted_round_robin: outOfBand asks for streams of load reports: set env.outOfBand');
    }
  }

  /** What one policy listens to from now on, in place of `before`. */
  change(before: ReadonlySet<Endpoint>, after: ReadonlySet<Endpoint>): void {
    for (const endpoint of after) if (!before.has(endpoint)) this.#add(endpoint);
    for (const endpoint of before) if (!after.has(endpoint)) this.#remove(endpoint);
  }

  #add(endpoint: Endpoint): void {
    const subscription = this.#subscriptions.get(endpoint);
    if (subscription === undefined) {
      this.#subscriptions.set(endpoint, { users: 1, stop: this.#subscribe(endpoint) });
    } else subscription.users++;
  }

  #remove(endpoint: Endpoint): void {
    const subscription = this.#subscriptions.get(endpoint);
    if (subscription === undefined || --subscription.users > 0) return;
    this.#subscriptions.delete(endpoint);
    subscription.stop();
  }

  #subscribe(endpoint: Endpoint): () => void {
    const weight = loadWeightOf(endpoint);
    const onReport = (report: BackendMetrics, now: number): void => weight.report(report, this.config, now);
    const { outOfBand } = this.env;
    // "While enable_oob_load_report is set, per-call load reports are never parsed" - gRFC A58
    if (this.config.outOfBand && outOfBand !== undefined) {
      return outOfBand(endpoint, this.config.outOfBandPeriodMs, onReport);
    }
    endpoint.onReport = onReport;
    return () => {
      // Another balancer may have taken it over.
      if (endpoint.onReport === onReport) endpoint.onReport = undefined;
    };
  }
}
