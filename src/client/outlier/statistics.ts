import type { FailurePercentageEjection, SuccessRateEjection } from '../../core/model/outlier.js';
import type { Evidence } from './ejection.js';
import type { Tally } from './tally.js';

/** One endpoint's interval, and whose it is. */
export interface Sample<T> {
  readonly host: T;
  readonly tally: Pick<Tally, 'volume' | 'successRate' | 'failures'>;
}

export interface Outlier<T> {
  readonly host: T;
  readonly evidence: Evidence;
}

/**
 * gRFC A50, "Success Rate Algorithm": those whose success rate is less than mean - stdev × factor, of those that had the volume. For example, with
 * rates of 0.5, 1, 1, 1, 1 the mean is 0.9 and the deviation 0.2: with a factor of 1.9, what is below 0.52 is an outlier.
 */
export function successRateOutliers<T>(
  samples: readonly Sample<T>[],
  config: Pick<SuccessRateEjection, 'requestVolume' | 'minimumHosts' | 'stdevFactor'>,
): Outlier<T>[] {
  const judged = withVolume(samples, config.requestVolume);
  // "If the number of addresses with request volume ... is less than success_rate_ejection.minimum_hosts, stop." - A50
  if (judged.length === 0 || judged.length < config.minimumHosts) return [];
  let sum = 0;
  for (const { tally } of judged) sum += tally.successRate;
  const mean = sum / judged.length;
  let squares = 0;
  for (const { tally } of judged) squares += (tally.successRate - mean) ** 2;
  const threshold = mean - Math.sqrt(squares / judged.length) * config.stdevFactor;
  const outliers: Outlier<T>[] = [];
  for (const { host, tally } of judged) {
    if (tally.successRate < threshold) {
      const hostSuccessRate = tally.successRate * 100;
      outliers.push({ host, evidence: { hostSuccessRate, average: mean * 100, threshold: threshold * 100 } });
    }
  }
  return outliers;
}

/**
 * gRFC A50, "Failure Percentage Algorithm". "greater than or equal to this value" is what its configuration says, and what Envoy does; its own
 * algorithm says "greater than", which differs at equality alone.
 */
export function failurePercentageOutliers<T>(
  samples: readonly Sample<T>[],
  config: Pick<FailurePercentageEjection, 'requestVolume' | 'minimumHosts' | 'threshold'>,
): Outlier<T>[] {
  const judged = withVolume(samples, config.requestVolume);
  if (judged.length === 0 || judged.length < config.minimumHosts) return [];
  const outliers: Outlier<T>[] = [];
  for (const { host, tally } of judged) {
    if (tally.failures / tally.volume >= config.threshold)
      outliers.push({ host, evidence: { hostSuccessRate: tally.successRate * 100 } });
  }
  return outliers;
}

/** A volume of 0 is no evidence, whatever the configuration asks for. */
function withVolume<T>(samples: readonly Sample<T>[], requestVolume: number): Sample<T>[] {
  const least = Math.max(1, requestVolume);
  return samples.filter(({ tally }) => tally.volume >= least);
}
