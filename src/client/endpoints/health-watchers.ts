import type { ClusterConfig } from '../../core/model/cluster.js';
import type { ClientEnv } from '../env.js';
import { OutlierDetection } from '../outlier/outlier-detection.js';
import type { Endpoint } from './endpoint.js';

/** Who finds out about the health of a cluster's endpoints: made when they are configured, kept when only their settings change. */
export class HealthWatchers {
  #outlier: OutlierDetection | undefined;

  constructor(private readonly env: ClientEnv) {}

  /** Endpoints ejected now. */
  get ejected(): number {
    return this.#outlier?.ejected ?? 0;
  }

  configure(config: ClusterConfig): void {
    if (config.outlier === undefined) {
      this.#outlier?.close();
      this.#outlier = undefined;
    } else if (this.#outlier === undefined) this.#outlier = new OutlierDetection(config.outlier, config, this.env);
    else this.#outlier.configure(config.outlier);
  }

  /** The endpoints from now on. */
  update(endpoints: readonly Endpoint[]): void {
    this.#outlier?.update(endpoints);
  }

  close(): void {
    this.#outlier?.close();
    this.#outlier = undefined;
  }
}
