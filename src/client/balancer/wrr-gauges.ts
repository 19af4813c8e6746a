import type { BalancerEnv } from './policy.js';

/** Of the schedulers made for a cluster, so far. */
export interface WrrCounts {
  /** "Number of scheduler updates in which there were not enough endpoints with valid weight" - gRFC A78. */
  fallbacks: number;
  /** Endpoints per update whose weight was not usable yet, summed up. */
  notYetUsable: number;
  /** Endpoints per update whose last weight had expired, summed up. */
  stale: number;
  /** Writes down what an endpoint weighs from now on; 0: it is not usable. */
  weighed(weight: number): void;
}

/** Names of gRFC A78. Each is described in docs/telemetry.md. */
export const WRR_GAUGES: Readonly<Record<string, (counts: WrrCounts) => number>> = {
  'grpc.lb.wrr.rr_fallback': (counts) => counts.fallbacks,
  'grpc.lb.wrr.endpoint_weight_not_yet_usable': (counts) => counts.notYetUsable,
  'grpc.lb.wrr.endpoint_weight_stale': (counts) => counts.stale,
};

/** "Each endpoint's weight, recorded on every scheduler update" - gRFC A78. A histogram of the catalogue. */
const WEIGHTS = 'grpc.lb.wrr.endpoint_weights';

interface Shared {
  readonly counts: WrrCounts;
  users: number;
  readonly stops: readonly (() => void)[];
}

const byMeter = new WeakMap<NonNullable<BalancerEnv['meter']>, Map<string, Shared>>();

/** Counts of a cluster, one for all balancers that it has (one per priority), offered as gauges until `close`. */
export function openWrrCounts(
  cluster: string,
  meter: NonNullable<BalancerEnv['meter']>,
): { readonly counts: WrrCounts; readonly close: () => void } {
  let clusters = byMeter.get(meter);
  if (clusters === undefined) {
    clusters = new Map();
    byMeter.set(meter, clusters);
  }
  const shared = clusters.get(cluster) ?? offer(cluster, meter);
  clusters.set(cluster, shared);
  shared.users++;
  const close = (): void => {
    if (--shared.users > 0) return;
    clusters.delete(cluster);
    for (const stop of shared.stops) stop();
  };
  return { counts: shared.counts, close };
}

function offer(cluster: string, meter: NonNullable<BalancerEnv['meter']>): Shared {
  const labels = { 'mesh.cluster': cluster };
  const weighed = (weight: number): void => meter.record(WEIGHTS, labels, weight);
  const counts: WrrCounts = { fallbacks: 0, notYetUsable: 0, stale: 0, weighed };
  const stops = Object.entries(WRR_GAUGES).map(([name, read]) => meter.gauge(name, labels, () => read(counts)));
  return { counts, users: 0, stops };
}
