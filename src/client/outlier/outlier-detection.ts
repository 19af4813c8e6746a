import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Meter } from '../../core/meter.js';
import type { FailurePercentageEjection, OutlierConfig, SuccessRateEjection } from '../../core/model/outlier.js';
import type { Random } from '../../core/random.js';
import { EjectionCounts } from './counts.js';
import type { ConsecutiveType, EjectionType, Evidence, StatisticalType } from './ejection.js';
import { type JudgedEndpoint, type Judge, OutlierHost } from './host.js';
import { Journal } from './journal.js';
import { configuredKinds, enforcingOf } from './kinds.js';
import { failurePercentageOutliers, type Outlier, successRateOutliers } from './statistics.js';

export interface OutlierEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly meter: Pick<Meter, 'event' | 'gauge'>;
}

/** What metrics and logs call the cluster. */
export interface OutlierCluster {
  readonly name: string;
  readonly scope?: string | undefined;
}

/**
 * Takes endpoints out of use by what becomes of their attempts: gRFC A50's two statistical kinds at each interval, Envoy's consecutive ones at
 * once. What differs between the two, where both are: ejected endpoints are not judged again until they are back (Envoy), where A50 would eject
 * them once more; the multiplier grows no further than the longest time (Envoy), so that an endpoint that was bad all day is soon trusted again.
 */
export class OutlierDetection implements Judge {
  #config: OutlierConfig;
  readonly #hosts = new Map<string, OutlierHost>();
  #ejected = 0;
  /** Of endpoints, so far. */
  #updates = 0;
  /** "the timestamp of the most recent timer start time" - A50; undefined while nothing is configured that could eject. */
  #intervalStart: number | undefined;
  #stopTimer: (() => void) | undefined;
  readonly #counts: EjectionCounts;
  readonly #journal: Journal;

  constructor(
    config: OutlierConfig,
    cluster: OutlierCluster,
    private readonly env: OutlierEnv,
  ) {
    this.#config = config;
    const labels = {
      'mesh.cluster': cluster.name,
      ...(cluster.scope === undefined ? {} : { 'grpc.target': cluster.scope }),
    };
    this.#counts = new EjectionCounts(env.meter, labels, () => this.#ejected);
    this.#journal = new Journal(cluster.name, env.logger, env.meter);
    this.#start();
  }

  get config(): OutlierConfig {
    return this.#config;
  }

  /** Endpoints ejected now. */
  get ejected(): number {
    return this.#ejected;
  }

  /** The endpoints from now on. What is known stays with the key, whether or not the object behind it is another one. */
  update(endpoints: Iterable<JudgedEndpoint>): void {
    const now = this.env.clock.now();
    const update = ++this.#updates;
    let present = 0;
    for (const endpoint of endpoints) {
      const host = this.#hosts.get(endpoint.key) ?? this.#add(endpoint);
      if (host.seenIn !== update) present++;
      host.seenIn = update;
      if (host.endpoint === endpoint) continue;
      this.#unwatch(host);
      host.endpoint = endpoint;
      this.#watch(host);
      if (host.ejectedAt !== undefined) endpoint.health.eject(now);
    }
    if (present === this.#hosts.size) return;
    for (const [key, host] of this.#hosts) {
      if (host.seenIn === update) continue;
      this.#unwatch(host);
      this.#hosts.delete(key);
      if (host.ejectedAt !== undefined) this.#ejected--;
    }
  }

  /** Keeps what is known, and the rhythm of the intervals. */
  configure(config: OutlierConfig): void {
    if (config === this.#config) return;
    this.#config = config;
    this.#start();
  }

  /** An active check has passed: `successful_active_health_check_uneject_host`. */
  checkPassed(key: string): void {
    if (!this.#config.unejectOnHealthCheck || this.#ejected === 0) return;
    const host = this.#hosts.get(key);
    if (host?.ejectedAt !== undefined) this.#uneject(host, this.env.clock.now());
  }

  /** Lets all endpoints be used again, and is not used any more. */
  close(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#counts.withdraw();
    const now = this.env.clock.now();
    for (const host of this.#hosts.values()) {
      this.#unwatch(host);
      if (host.ejectedAt !== undefined) host.endpoint.health.uneject(now);
    }
    this.#hosts.clear();
    this.#ejected = 0;
  }

  consecutive(host: OutlierHost, type: ConsecutiveType, now: number): void {
    // Attempts may end after their endpoint was removed, or the detection was closed.
    if (host.ejectedAt !== undefined || this.#hosts.get(host.endpoint.key) !== host) return;
    this.#found(host, type, undefined, now);
    // Also when it was spared: the next row of failures is judged anew.
    host.resetRow(type);
  }

  #start(): void {
    const types = configuredKinds(this.#config);
    this.#counts.offer(types);
    if (types.length === 0) {
      this.#stop();
    } else if (this.#intervalStart === undefined) {
      // "If the timer start timestamp is unset, set it to the current time ..., reset the call counters." - A50
      this.#intervalStart = this.env.clock.now();
      for (const host of this.#hosts.values()) {
        host.external.reset();
        host.local.reset();
        host.resetRows();
        this.#watch(host);
      }
      this.#schedule(this.#config.intervalMs);
    } else {
      // "for the configured interval minus the difference between the current time and the previous start timestamp" - A50
      this.#schedule(Math.max(0, this.#intervalStart + this.#config.intervalMs - this.env.clock.now()));
    }
  }

  /** "Cancel the existing timer ... Un-eject all currently ejected addresses. Reset each address's ejection time multiplier to 0." - A50 */
  #stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#intervalStart = undefined;
    const now = this.env.clock.now();
    for (const host of this.#hosts.values()) {
      this.#unwatch(host);
      if (host.ejectedAt !== undefined) this.#uneject(host, now);
      host.multiplier = 0;
    }
  }

  #schedule(delayMs: number): void {
    this.#stopTimer?.();
    this.#stopTimer = this.env.clock.after(delayMs, () => this.#interval(), { background: true });
  }

  #add(endpoint: JudgedEndpoint): OutlierHost {
    const host = new OutlierHost(endpoint, this);
    this.#hosts.set(endpoint.key, host);
    this.#watch(host);
    return host;
  }

  /** A host is told of attempts only while something is configured that could eject it. */
  #watch(host: OutlierHost): void {
    if (this.#intervalStart !== undefined) host.endpoint.monitor = host;
  }

  #unwatch(host: OutlierHost): void {
    if (host.endpoint.monitor === host) host.endpoint.monitor = undefined;
  }

  /** In A50's order: buckets, success rate, failure percentage, then those whose time is up. */
  #interval(): void {
    const now = this.env.clock.now();
    this.#intervalStart = now;
    // "Don't do work if the host is already ejected" - Envoy. Those that are ejected below still count among the others.
    const judged: OutlierHost[] = [];
    for (const host of this.#hosts.values()) {
      host.external.swap();
      host.local.swap();
      if (host.ejectedAt === undefined) judged.push(host);
    }
    const { successRate, failurePercentage, splitLocalOrigin } = this.#config;
    this.#judge(judged, 'external', successRate, failurePercentage, now);
    if (splitLocalOrigin) {
      const { localOriginSuccessRate, localOriginFailurePercentage } = this.#config;
      this.#judge(judged, 'local', localOriginSuccessRate, localOriginFailurePercentage, now);
    }
    for (const host of this.#hosts.values()) {
      if (host.ejectedAt === undefined) host.multiplier = Math.max(0, host.multiplier - 1);
      else if (now - host.ejectedAt >= this.#ejectionMs(host)) this.#uneject(host, now);
    }
    this.#schedule(this.#config.intervalMs);
  }

  #judge(
    hosts: readonly OutlierHost[],
    origin: 'external' | 'local',
    successRate: SuccessRateEjection | undefined,
    failurePercentage: FailurePercentageEjection | undefined,
    now: number,
  ): void {
    if (successRate === undefined && failurePercentage === undefined) return;
    const samples = hosts.map((host) => ({ host, tally: host[origin] }));
    const external = origin === 'external';
    if (successRate !== undefined)
      this.#eject(
        successRateOutliers(samples, successRate),
        external ? 'success_rate' : 'success_rate_local_origin',
        now,
      );
    if (failurePercentage !== undefined)
      this.#eject(
        failurePercentageOutliers(samples, failurePercentage),
        external ? 'failure_percentage' : 'failure_percentage_local_origin',
        now,
      );
  }

  #eject(outliers: readonly Outlier<OutlierHost>[], type: StatisticalType, now: number): void {
    for (const { host, evidence } of outliers) if (host.ejectedAt === undefined) this.#found(host, type, evidence, now);
  }

  #found(host: OutlierHost, type: EjectionType, evidence: Evidence | undefined, now: number): void {
    const count = this.#counts.of(type);
    if (this.#full(evidence !== undefined)) {
      count.overflow++;
      return;
    }
    const enforcing = enforcingOf(this.#config, type);
    if (enforcing < 1 && this.env.random.next() >= enforcing) {
      count.spared++;
      this.#journal.spared(host, type, evidence, now);
      return;
    }
    count.enforced++;
    const { baseEjectionMs, maxEjectionMs, maxEjectionJitterMs } = this.#config;
    this.#ejected++;
    host.ejectedAt = now;
    host.ejections++;
    host.jitterMs = maxEjectionJitterMs > 0 ? this.env.random.next() * maxEjectionJitterMs : 0;
    // Beyond this the time would not grow any more (Envoy `ejectTimeBackoff`).
    if (host.multiplier * baseEjectionMs < Math.max(baseEjectionMs, maxEjectionMs) + baseEjectionMs) host.multiplier++;
    host.endpoint.health.eject(now);
    this.#journal.ejected(host, type, evidence, now);
    host.lastActionAt = now;
  }

  /** Whether no more may be ejected. */
  #full(statistical: boolean): boolean {
    const { alwaysEjectOne, maxEjection } = this.#config;
    if (alwaysEjectOne && this.#ejected === 0) return false;
    // "If the percentage of ejected addresses is greater than or equal to max_ejection_percent, stop." - A50. Envoy counts the one to come as well.
    return statistical
      ? this.#ejected / this.#hosts.size >= maxEjection
      : (this.#ejected + 1) / this.#hosts.size > maxEjection;
  }

  /** "min(base_ejection_time * multiplier, max(base_ejection_time, max_ejection_time))" - A50; and Envoy's jitter. */
  #ejectionMs({ multiplier, jitterMs }: OutlierHost): number {
    const { baseEjectionMs, maxEjectionMs } = this.#config;
    return Math.min(baseEjectionMs * multiplier, Math.max(baseEjectionMs, maxEjectionMs)) + jitterMs;
  }

  #uneject(host: OutlierHost, now: number): void {
    this.#ejected--;
    host.ejectedAt = undefined;
    // "to avoid re-ejection on very few new errors" - Envoy
    host.resetRows();
    host.endpoint.health.uneject(now);
    this.#journal.unejected(host, now);
    host.lastActionAt = now;
  }
}
