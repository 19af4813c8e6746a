import type { ClusterConfig } from '../../../src/core/model/cluster.js';
import { anEndpoint } from '../../support/endpoints.js';
import { aCluster } from '../../support/targets.js';
import { logNormal } from './log-normal.js';
import { Simulation } from './simulation.js';

/*
 * A locality lost and regained, in virtual time: ten endpoints near, ten far (the next priority), 1,000 calls a second. The near ones go after a sixth
 * of the run and are back after a third: withdrawn by the control plane, or dead, so that connections are refused.
 */
const NEAR = Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}:80`);
const FAR = Array.from({ length: 10 }, (_, i) => `10.0.1.${i + 1}:80`);
const CALLS_PER_SECOND = 1_000;
/** An endpoint's calls in a second when ten share them. */
const FAIR_RATE = CALLS_PER_SECOND / NEAR.length;
/** Loads are counted over so long. */
const WINDOW_MS = 500;

export interface LocalityLoss {
  readonly failed: number;
  /** The most calls a second that any one endpoint had, over half a second, ÷ FAIR_RATE. */
  readonly spike: number;
  /** Milliseconds from the loss to the last call near, and from the return until 99 % of the calls are near again. */
  readonly failoverMs: number;
  readonly returnMs: number;
  /** Share of the calls that went near, in each half second. */
  readonly near: readonly number[];
  /** The busiest endpoint's calls a second in each half second, ÷ FAIR_RATE. */
  readonly busiest: readonly number[];
}

export async function localityLoss(
  kind: 'withdrawn' | 'refused',
  durationMs: number,
  more: Partial<ClusterConfig> = {},
): Promise<LocalityLoss> {
  const lostAt = durationMs / 6;
  const backAt = durationMs / 3;
  const far = FAR.map((at) => anEndpoint(at, { priority: 1 }));
  const all = [...NEAR.map((at) => anEndpoint(at)), ...far];
  const withEndpoints = (endpoints: ClusterConfig['endpoints']): ClusterConfig => ({
    ...aCluster('reviews', [], more),
    endpoints,
  });
  const simulation = new Simulation({
    cluster: withEndpoints(all),
    timeoutMs: 1_000,
    seed: 1,
    backend(endpoint, now, random) {
      const isLost = kind === 'refused' && now >= lostAt && now < backAt;
      return isLost && NEAR.includes(endpoint) ? 'refused' : { afterMs: logNormal(20, 0.3, random) };
    },
  });
  if (kind === 'withdrawn') {
    simulation.clock.after(lostAt, () => simulation.configure(withEndpoints(far)));
    simulation.clock.after(backAt, () => simulation.configure(withEndpoints(all)));
  }
  await simulation.load(CALLS_PER_SECOND, durationMs);
  const { outcomes, arrivals } = simulation;
  await simulation.close();
  const windows = Array.from({ length: durationMs / WINDOW_MS }, () => new Map<string, number>());
  for (const { endpoint, at } of arrivals) {
    const counts = windows[Math.floor(at / WINDOW_MS)];
    counts?.set(endpoint, (counts.get(endpoint) ?? 0) + 1);
  }
  const near = windows.map((counts) => {
    const calls = [...counts.values()].reduce((sum, count) => sum + count, 0);
    return NEAR.reduce((sum, endpoint) => sum + (counts.get(endpoint) ?? 0), 0) / calls;
  });
  const busiest = windows.map((counts) => (Math.max(...counts.values()) * 1_000) / WINDOW_MS / FAIR_RATE);
  const lastNear = arrivals.filter(({ at, endpoint }) => at >= lostAt && at < backAt && NEAR.includes(endpoint)).at(-1);
  const back = near.findIndex((share, i) => i * WINDOW_MS >= backAt && share >= 0.99);
  return {
    failed: outcomes.filter(({ ok }) => !ok).length,
    spike: Math.max(...busiest),
    failoverMs: lastNear === undefined ? 0 : lastNear.at - lostAt,
    returnMs: back < 0 ? Number.POSITIVE_INFINITY : back * WINDOW_MS - backAt,
    near,
    busiest,
  };
}
