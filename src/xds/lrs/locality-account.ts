import type { Locality } from '../../core/model/endpoint.js';
import { type MetricSum, MetricSums } from './metric-sums.js';

/** What one locality did in one interval. */
export interface LocalityCounts {
  readonly locality: Locality;
  readonly issued: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Of the moment, not of the interval. */
  readonly inProgress: number;
  readonly metrics: ReadonlyMap<string, MetricSum>;
}

/** Counts calls to one locality since the last report. */
export class LocalityAccount {
  /** Written per call, by the handles; read and emptied by `take`. */
  issued = 0;
  succeeded = 0;
  failed = 0;
  /** "Don't reset": calls under way outlive the interval. */
  inProgress = 0;
  readonly metrics = new MetricSums();
  /** False once it has left its cluster's account: what is counted here then would never be reported. Written by `ClusterAccount`. */
  listed = true;

  constructor(readonly locality: Locality) {}

  /** Nothing is under way, and there is nothing to report. */
  get idle(): boolean {
    return (
      this.inProgress === 0 && this.issued === 0 && this.succeeded === 0 && this.failed === 0 && this.metrics.empty
    );
  }

  take(): LocalityCounts {
    const { locality, issued, succeeded, failed, inProgress } = this;
    this.issued = 0;
    this.succeeded = 0;
    this.failed = 0;
    return { locality, issued, succeeded, failed, inProgress, metrics: this.metrics.take() };
  }

  /** Counts again what was taken and could not be sent. */
  putBack(counts: LocalityCounts): void {
    this.issued += counts.issued;
    this.succeeded += counts.succeeded;
    this.failed += counts.failed;
    this.metrics.putBack(counts.metrics);
  }
}
