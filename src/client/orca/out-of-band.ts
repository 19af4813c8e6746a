import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import type { Transport } from '../../core/transport.js';
import { Pace } from '../health/pace.js';
import { EndpointReports, type OnReport } from './endpoint-reports.js';

/** What of an endpoint is asked. */
export interface ReportingEndpoint {
  readonly key: string;
  readonly config: Pick<EndpointConfig, 'hostname'>;
  transport(protocol: 'grpc', https: boolean): Transport;
}

/** What of a cluster the streams go by. */
export interface ReportingCluster {
  readonly name: string;
  readonly tls?: UpstreamTls | undefined;
}

export interface OutOfBandEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Pick<Logger, 'error'>;
}

/**
 * Load reports out of band (gRFC A51): a stream of `xds.service.orca.v3.OpenRcaService/StreamCoreMetrics` to each endpoint of a cluster that somebody
 * listens to, over the connections of its calls. One is opened where there is none: a balancer that weighs by load wants to know of all.
 */
export class OutOfBandReports<E extends ReportingEndpoint> {
  /** Of endpoints that somebody listens to. */
  readonly #endpoints = new Map<E, EndpointReports>();
  readonly #pace: Pace;
  #logged = false;

  constructor(
    /** As it is configured now. */
    private readonly cluster: () => ReportingCluster,
    private readonly env: OutOfBandEnv,
  ) {
    this.#pace = new Pace(env.clock);
  }

  /** About one report every `periodMs`; with several listeners the shortest period counts for all. The result ends it. */
  readonly subscribe = (endpoint: E, periodMs: number, onReport: OnReport): (() => void) => {
    let reports = this.#endpoints.get(endpoint);
    if (reports === undefined) {
      reports = this.#reports(endpoint);
      this.#endpoints.set(endpoint, reports);
    }
    const subscribed = reports;
    const stop = subscribed.subscribe(periodMs, onReport);
    return () => {
      stop();
      if (subscribed.wanted || this.#endpoints.get(endpoint) !== subscribed) return;
      this.#endpoints.delete(endpoint);
      if (this.#endpoints.size === 0) this.#pace.close();
    };
  };

  #reports(endpoint: E): EndpointReports {
    const { clock, random } = this.env;
    return new EndpointReports({
      clock,
      random,
      transport: () => endpoint.transport('grpc', false),
      target: () => {
        const { name, tls } = this.cluster();
        return { authority: endpoint.config.hostname ?? name, scheme: tls === undefined ? 'http' : 'https' };
      },
      run: (task) => this.#pace.run(task),
      unimplemented: () => this.#unimplemented(endpoint),
    });
  }

  /** "It will also log a message at priority ERROR." - A51; once, of the first of all endpoints that are alike. */
  #unimplemented(endpoint: E): void {
    if (this.#logged) return;
    this.#logged = true;
    const what = 'endpoint has no xds.service.orca.v3.OpenRcaService: it is not weighed by load';
    this.env.logger.error(`${what}; add the service, or set enable_oob_load_report to false`, {
      cluster_name: this.cluster().name,
      host: endpoint.key,
    });
  }
}
