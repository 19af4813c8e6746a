import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { EjectionType, Evidence } from './ejection.js';
import type { OutlierHost } from './host.js';

/** Tells of ejections: events, and log lines with the fields of Envoy's `OutlierDetectionEvent`. */
export class Journal {
  constructor(
    private readonly cluster: string,
    private readonly logger: Logger,
    private readonly meter: Pick<Meter, 'event'>,
  ) {}

  ejected(host: OutlierHost, type: EjectionType, evidence: Evidence | undefined, now: number): void {
    this.logger.warn('endpoint ejected', this.#ejection(host, type, evidence, true, now));
    this.meter.event({ kind: 'outlier:ejected', cluster: this.cluster, endpoint: host.endpoint.key, reason: type });
  }

  /** Found to be an outlier, and spared by the enforcing share: at debug level, since a share of 0.01 makes many of them. */
  spared(host: OutlierHost, type: EjectionType, evidence: Evidence | undefined, now: number): void {
    this.logger.debug('endpoint not ejected', this.#ejection(host, type, evidence, false, now));
  }

  unejected(host: OutlierHost, now: number): void {
    this.logger.info('endpoint is no longer ejected', { ...this.#common(host, now), action: 'UNEJECT' });
    this.meter.event({ kind: 'outlier:unejected', cluster: this.cluster, endpoint: host.endpoint.key });
  }

  #ejection(
    host: OutlierHost,
    type: EjectionType,
    evidence: Evidence | undefined,
    enforced: boolean,
    now: number,
  ): Record<string, unknown> {
    return { ...this.#common(host, now), type: type.toUpperCase(), action: 'EJECT', enforced, ...details(evidence) };
  }

  #common(host: OutlierHost, now: number): Record<string, unknown> {
    const since = host.lastActionAt;
    return {
      cluster_name: this.cluster,
      upstream_url: host.endpoint.key,
      num_ejections: host.ejections,
      ...(since === undefined ? {} : { secs_since_last_action: Math.floor((now - since) / 1_000) }),
    };
  }
}

function details(evidence: Evidence | undefined): Record<string, unknown> {
  if (evidence === undefined) return { eject_consecutive_event: {} };
  const { hostSuccessRate, average, threshold } = evidence;
  if (average === undefined)
    return { eject_failure_percentage_event: { host_success_rate: Math.round(hostSuccessRate) } };
  return {
    eject_success_rate_event: {
      host_success_rate: Math.round(hostSuccessRate),
      cluster_average_success_rate: Math.round(average),
      cluster_success_rate_ejection_threshold: Math.round(threshold ?? 0),
    },
  };
}
