import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { aCluster } from '../../support/targets.js';
import { logNormal } from './log-normal.js';
import { type LimitBy, type Outcome, quantile, Simulation } from './simulation.js';

/*
 * "Beyond Round Robin" (Buoyant, 2016), in virtual time: 11 backends of a median of 167 ms, 1,000 calls a second, a second's limit for each call, and
 * one backend that takes 2 s for half of the run.
 */
const MEDIAN_MS = 167;
const SLOW_MS = 2_000;
const CALLS_PER_SECOND = 1_000;
const TIMEOUT_MS = 1_000;
/** Spread of the backends' times: 1 in 100 takes more than twice the median. */
const SIGMA = 0.3;
const BACKENDS = Array.from({ length: 11 }, (_, i) => `10.0.0.${i + 1}:80`);
const SLOW = BACKENDS[0] as string;

export interface BeyondRoundRobin {
  readonly successRate: number;
  /** Milliseconds of all calls, those that failed included. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** The slow backend's share of calls while it is slow. */
  readonly slowShare: number;
  /** Success rate of each second. */
  readonly bySecond: readonly number[];
}

/** Slow from a quarter to three quarters of the run. */
export async function beyondRoundRobin(
  balancer: BalancerConfig,
  durationMs: number,
  limitBy?: LimitBy,
): Promise<BeyondRoundRobin> {
  const from = durationMs / 4;
  const to = (durationMs * 3) / 4;
  const isSlowAt = (now: number): boolean => now >= from && now < to;
  const simulation = new Simulation({
    cluster: aCluster('reviews', BACKENDS, { balancer }),
    timeoutMs: TIMEOUT_MS,
    limitBy,
    seed: 1,
    backend(endpoint, now, random, inflight) {
      const afterMs = endpoint === SLOW && isSlowAt(now) ? SLOW_MS : logNormal(MEDIAN_MS, SIGMA, random);
      // What it says of itself: half busy with 15 calls, its share when all are well.
      return {
        afterMs,
        headers: { 'endpoint-load-metrics': `TEXT application_utilization=${inflight / 30},rps_fractional=91` },
      };
    },
  });
  await simulation.load(CALLS_PER_SECOND, durationMs);
  const { outcomes, arrivals } = simulation;
  await simulation.close();
  const took = outcomes.map(({ tookMs }) => tookMs);
  const meanwhile = arrivals.filter(({ at }) => isSlowAt(at));
  return {
    successRate: rate(outcomes),
    p50: quantile(took, 0.5),
    p95: quantile(took, 0.95),
    p99: quantile(took, 0.99),
    slowShare: meanwhile.filter(({ endpoint }) => endpoint === SLOW).length / meanwhile.length,
    bySecond: Array.from({ length: durationMs / 1_000 }, (_, second) =>
      rate(outcomes.filter(({ startedAt }) => Math.floor(startedAt / 1_000) === second)),
    ),
  };
}

const rate = (outcomes: readonly Outcome[]): number => outcomes.filter(({ ok }) => ok).length / outcomes.length;
