import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { aCluster } from '../../support/targets.js';
import { logNormal } from './log-normal.js';
import { Simulation } from './simulation.js';

/*
 * The fast-failing backend, in virtual time: 10 backends of a median of 50 ms, 500 calls a second, and one backend that answers 503 after 1 ms for half of
 * the run. Whoever takes speed, or few calls under way, for health sends it more calls than its share of a tenth.
 */
const BACKENDS = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:80`);
const FAILING = BACKENDS[0] as string;
export const FAIR_SHARE = 1 / BACKENDS.length;

export interface FastFailure {
  /** The failing backend's share of the calls while it fails. */
  readonly share: number;
  readonly successRate: number;
  /** Its share in each second of the run. */
  readonly bySecond: readonly number[];
}

/** Failing from a quarter to three quarters of the run. */
export async function fastFailure(balancer: BalancerConfig, durationMs: number): Promise<FastFailure> {
  const isFailingAt = (now: number): boolean => now >= durationMs / 4 && now < (durationMs * 3) / 4;
  const simulation = new Simulation({
    cluster: aCluster('reviews', BACKENDS, { balancer }),
    timeoutMs: 1_000,
    seed: 1,
    backend(endpoint, now, random, inflight) {
      const report = { 'endpoint-load-metrics': `TEXT application_utilization=${inflight / 10},rps_fractional=50` };
      if (endpoint === FAILING && isFailingAt(now)) return { afterMs: 1, status: 503, headers: report };
      return { afterMs: logNormal(50, 0.3, random), headers: report };
    },
  });
  await simulation.load(500, durationMs);
  const { outcomes, arrivals } = simulation;
  await simulation.close();
  const shareOf = (isCounted: (at: number) => boolean): number => {
    const counted = arrivals.filter(({ at }) => isCounted(at));
    return counted.filter(({ endpoint }) => endpoint === FAILING).length / counted.length;
  };
  return {
    share: shareOf(isFailingAt),
    successRate: outcomes.filter(({ ok }) => ok).length / outcomes.length,
    bySecond: Array.from({ length: durationMs / 1_000 }, (_, second) =>
      shareOf((at) => Math.floor(at / 1_000) === second),
    ),
  };
}
