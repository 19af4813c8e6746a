import type { ClusterConfig } from '../../core/model/cluster.js';
import { type Balancer, type BalancerEnv, createBalancer } from '../balancer/balancer.js';
import type { ClientEnv } from '../env.js';
import { OutOfBandReports } from '../orca/out-of-band.js';
import type { Endpoint } from './endpoint.js';

/** Makes the balancers of one cluster, as it is configured at the time. */
export class BalancerMaker {
  #reports: OutOfBandReports<Endpoint> | undefined;

  constructor(
    private readonly config: () => ClusterConfig,
    private readonly env: ClientEnv,
    /** Calls of the cluster that are under way. */
    private readonly underWay: () => number,
  ) {}

  /**
   * One that cannot be made, because the application has taken its policy back (gRFC A52) or what it needs is not there, is told of, and round robin
   * serves in its place: calls go on.
   */
  make(): Balancer {
    const config = this.config();
    const { clock, random, hash64, locality, localZones, meter, logger } = this.env;
    const parts = {
      clock,
      random,
      hash64,
      locality,
      localZones,
      meter,
      logger,
      underWay: this.underWay,
      outOfBand: this.#outOfBand,
    };
    try {
      return createBalancer(config, parts);
    } catch (error) {
      logger.error(`cluster "${config.name}": its balancer cannot be made; round robin serves in its place`, {
        error: String(error),
      });
      return createBalancer({ name: config.name, balancer: { kind: 'round_robin' } }, parts);
    }
  }

  /** One stream for each endpoint, whichever of the cluster's balancers listen to it. */
  readonly #outOfBand: NonNullable<BalancerEnv['outOfBand']> = (endpoint, periodMs, onReport) => {
    this.#reports ??= new OutOfBandReports(this.config, this.env);
    return this.#reports.subscribe(endpoint, periodMs, onReport);
  };
}
