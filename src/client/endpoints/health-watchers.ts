import type { ClusterConfig } from '../../core/model/cluster.js';
import type { ClientEnv } from '../env.js';
import { HealthChecker } from '../health/health-checker.js';
import { HealthWatch } from '../health/health-watch.js';
import { OutlierDetection } from '../outlier/outlier-detection.js';
import type { Endpoint } from './endpoint.js';

/** Who finds out about the health of a cluster's endpoints: made when they are configured, kept when only their settings change. */
export class HealthWatchers {
  #outlier: OutlierDetection | undefined;
  #checker: HealthChecker | undefined;
  #watch: HealthWatch<Endpoint> | undefined;
  #endpoints: readonly Endpoint[] = [];
  #listening = false;
  /** Whether any call has been sent to the cluster, to endpoints that it had. */
  #traffic = false;

  constructor(private readonly env: ClientEnv) {}

  configure(configured: ClusterConfig): void {
    const config = configured.balancer.kind === 'pick_first' ? withoutSignals(configured) : configured;
    this.#configureOutlier(config);
    this.#configureChecks(config);
    this.#configureWatch(config);
  }

  /** The endpoints from now on; `removed` are those that are among them no more. */
  update(endpoints: readonly Endpoint[], removed: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
    for (const endpoint of removed) {
      endpoint.onFailNow = undefined;
      endpoint.onTried = undefined;
    }
    this.#listen();
    this.#outlier?.update(endpoints);
    this.#checker?.update(endpoints);
    this.#watch?.update(endpoints);
  }

  close(): void {
    this.#outlier?.close();
    this.#checker?.close();
    this.#watch?.close();
    this.#outlier = undefined;
    this.#checker = undefined;
    this.#watch = undefined;
    this.#listen();
  }

  #configureOutlier(config: ClusterConfig): void {
    const { outlier } = config;
    if (outlier === undefined) {
      this.#outlier?.close();
      this.#outlier = undefined;
    } else if (this.#outlier === undefined) this.#outlier = new OutlierDetection(outlier, config, this.env);
    else this.#outlier.configure(outlier);
  }

  #configureChecks(config: ClusterConfig): void {
    const { healthChecks = [] } = config;
    if (healthChecks.length === 0) {
      this.#checker?.close();
      this.#checker = undefined;
    } else if (this.#checker === undefined) {
      const { clock, random, logger, meter, transports, tls } = this.env;
      this.#traffic ||= this.#endpoints.some(({ reach }) => reach !== 'untried');
      this.#checker = new HealthChecker(healthChecks, config, {
        clock,
        random,
        logger,
        meter,
        transports,
        tls,
        hadTraffic: () => this.#traffic,
        passed: (key) => this.#outlier?.checkPassed(key),
      });
    } else this.#checker.configure(healthChecks, config);
    this.#listen();
  }

  #configureWatch(config: ClusterConfig): void {
    const { healthWatch } = config;
    if (healthWatch === undefined) {
      this.#watch?.close();
      this.#watch = undefined;
    } else if (this.#watch === undefined) {
      const { clock, random, logger, meter } = this.env;
      const transportOf = (endpoint: Endpoint) => endpoint.transport('grpc', false);
      this.#watch = new HealthWatch(healthWatch.service, config, { clock, random, logger, meter, transportOf });
    } else this.#watch.configure(healthWatch.service, config);
  }

  readonly #tried = (): void => {
    if (this.#traffic) return;
    this.#traffic = true;
    this.#checker?.trafficBegan();
  };

  /** Replies may say that an endpoint fails its checks, and the first of all hastens them: heard only while there are any. */
  #listen(): void {
    const checker = this.#checker;
    if (checker === undefined && !this.#listening) return;
    this.#listening = checker !== undefined;
    for (const endpoint of this.#endpoints) {
      if ((endpoint.onFailNow !== undefined) === (checker !== undefined)) continue;
      endpoint.onFailNow = checker === undefined ? undefined : () => this.#checker?.failNow(endpoint.key);
      endpoint.onTried = checker === undefined ? undefined : this.#tried;
    }
  }
}

/** "we do not want either of these mechanisms to actually work when pick_first is used as an LB policy by itself" - gRFC A61: A17's watch and A50. */
const withoutSignals = (config: ClusterConfig): ClusterConfig => ({
  ...config,
  healthWatch: undefined,
  outlier: undefined,
});
