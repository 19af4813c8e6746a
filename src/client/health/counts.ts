import type { Meter } from '../../core/meter.js';

/** Of a cluster's active checks, so far (Envoy `health_check.*`). */
export interface CheckCounts {
  attempts: number;
  successes: number;
  failures: number;
  /** Of the failures, those without an answer. */
  networkFailures: number;
  /** Of the failures, those that calls brought news of. */
  passiveFailures: number;
}

/** Endpoints now. */
export interface CheckedNow {
  readonly healthy: number;
  readonly degraded: number;
}

/** By gauge name. Each is described in docs/telemetry.md. */
export const HEALTH_CHECK_GAUGES: Readonly<Record<string, (counts: CheckCounts, now: () => CheckedNow) => number>> = {
  'mesh.health_check.attempts': (counts) => counts.attempts,
  'mesh.health_check.successes': (counts) => counts.successes,
  'mesh.health_check.failures': (counts) => counts.failures,
  'mesh.health_check.network_failures': (counts) => counts.networkFailures,
  'mesh.health_check.passive_failures': (counts) => counts.passiveFailures,
  'mesh.health_check.healthy': (_counts, now) => now().healthy,
  'mesh.health_check.degraded': (_counts, now) => now().degraded,
};

/** Offers the gauges until the result is called. */
export function offerCheckCounts(
  meter: Pick<Meter, 'gauge'>,
  labels: Readonly<Record<string, string>>,
  counts: CheckCounts,
  now: () => CheckedNow,
): () => void {
  const stops = Object.entries(HEALTH_CHECK_GAUGES).map(([name, read]) =>
    meter.gauge(name, labels, () => read(counts, now)),
  );
  return () => {
    for (const stop of stops) stop();
  };
}
