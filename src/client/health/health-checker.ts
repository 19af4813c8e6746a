import type { Meter } from '../../core/meter.js';
import type { HealthCheckConfig } from '../../core/model/health-check.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { UpstreamTls } from '../../core/model/tls.js';
import { type CheckNews, CheckSession, type SessionOwner } from './check-session.js';
import { type CheckedEndpoint, type Finding, asksTheSame, findingOf, probeOf, targetOf } from './checked-endpoint.js';
import { type CheckCounts, type CheckedNow, offerCheckCounts } from './counts.js';
import { Pace } from './pace.js';
import type { ProbeEnv } from './probe.js';

export interface HealthCheckEnv extends ProbeEnv {
  readonly meter: Pick<Meter, 'event' | 'gauge'>;
  /** Whether any call has been sent to the cluster: until then checks are as rare as `no_traffic_interval` says. */
  readonly hadTraffic: () => boolean;
  /** A check has passed, of an endpoint that is healthy by its checks: outlier detection may bring it back. */
  readonly passed?: ((key: string) => void) | undefined;
}

/** What of a cluster its checks go by. */
export interface CheckedCluster {
  readonly name: string;
  readonly scope?: string | undefined;
  readonly tls?: UpstreamTls | undefined;
}

/** With more endpoints than this, their second checks come at random times within the interval. */
const SPREAD_FROM = 64;

interface Entry {
  endpoint: CheckedEndpoint;
  /** What its checks were made for. */
  config: EndpointConfig;
  sessions: readonly CheckSession[];
  /** What its health was told last. */
  finding: Finding;
  /** Number of the last update that had it. */
  seenIn: number;
}

/**
 * Active health checks of one cluster (Envoy `health_checks`); where there are several, an endpoint must pass all.
 *
 * Envoy lets no call to a cluster before each endpoint had its first check. Calls do not wait here: endpoints that come while none is known to be
 * healthy are used until a check fails; those that come later are used when they have passed.
 */
export class HealthChecker implements SessionOwner {
  #configs: readonly HealthCheckConfig[];
  #cluster: CheckedCluster;
  readonly #entries = new Map<string, Entry>();
  /** Of endpoints, so far. */
  #updates = 0;
  readonly #owners = new Map<CheckSession, Entry>();
  readonly #pace: Pace;
  readonly #counts: CheckCounts = { attempts: 0, successes: 0, failures: 0, networkFailures: 0, passiveFailures: 0 };
  readonly #withdrawGauges: () => void;

  constructor(
    configs: readonly HealthCheckConfig[],
    cluster: CheckedCluster,
    private readonly env: HealthCheckEnv,
  ) {
    this.#configs = configs;
    this.#cluster = cluster;
    this.#pace = new Pace(env.clock);
    const labels = {
      'mesh.cluster': cluster.name,
      ...(cluster.scope === undefined ? {} : { 'grpc.target': cluster.scope }),
    };
    this.#withdrawGauges = offerCheckCounts(env.meter, labels, this.#counts, () => this.#now());
  }

  get spread(): boolean {
    return this.#entries.size > SPREAD_FROM;
  }

  hadTraffic(): boolean {
    return this.env.hadTraffic();
  }

  /** The endpoints from now on. What is known stays with the key, whether or not the object behind it is another one. */
  update(endpoints: Iterable<CheckedEndpoint>): void {
    const now = this.env.clock.now();
    const update = ++this.#updates;
    const newcomers: Entry[] = [];
    let present = 0;
    for (const endpoint of endpoints) {
      const { config } = endpoint;
      const entry = this.#entries.get(endpoint.key);
      if (entry === undefined) {
        const added: Entry = { endpoint, config, sessions: [], finding: undefined, seenIn: update };
        this.#entries.set(endpoint.key, added);
        newcomers.push(added);
        present++;
        continue;
      }
      if (entry.seenIn !== update) present++;
      entry.seenIn = update;
      if (entry.endpoint !== endpoint) endpoint.health.checked(entry.finding, now);
      entry.endpoint = endpoint;
      const same = entry.config === config || asksTheSame(entry.config, config);
      entry.config = config;
      if (!same) this.#begin(entry);
    }
    if (present < this.#entries.size) this.#removeOthers(update);
    const healthy = newcomers.length > 0 && this.#now().healthy > 0;
    for (const entry of newcomers) {
      if (healthy) this.#tell(entry, false);
      this.#begin(entry);
    }
  }

  #removeOthers(update: number): void {
    for (const [key, entry] of this.#entries) {
      if (entry.seenIn === update) continue;
      this.#entries.delete(key);
      this.#end(entry);
    }
  }

  /** What was found stands until checks of the new kind have ended. */
  configure(configs: readonly HealthCheckConfig[], cluster: CheckedCluster): void {
    const changed = sessionKey(configs, cluster) !== sessionKey(this.#configs, this.#cluster);
    this.#configs = configs;
    this.#cluster = cluster;
    if (changed) for (const entry of this.#entries.values()) this.#begin(entry);
  }

  /** The first call of all has been sent to the cluster: nobody waits any more for as long as `no_traffic_interval` says. */
  trafficBegan(): void {
    for (const { sessions } of this.#entries.values()) for (const session of sessions) session.trafficBegan();
  }

  /** A reply to a call had `x-envoy-immediate-health-check-fail`: the endpoint is unhealthy until checks pass again. */
  failNow(key: string): void {
    const entry = this.#entries.get(key);
    for (const session of entry?.sessions ?? []) session.failNow('x-envoy-immediate-health-check-fail');
  }

  /** Health says nothing of checks any more. */
  close(): void {
    for (const entry of this.#entries.values()) {
      this.#end(entry);
      this.#tell(entry, undefined);
    }
    this.#entries.clear();
    this.#pace.close();
    this.#withdrawGauges();
  }

  checked(session: CheckSession, news: CheckNews): void {
    const entry = this.#owners.get(session);
    if (entry === undefined) return;
    this.#count(news);
    if (news.before !== news.state) this.#report(session, entry, news);
    const finding = findingOf(entry.sessions);
    // While another check has not ended yet, what was found before stands.
    if (finding !== undefined) this.#tell(entry, finding);
    if (news.result.passed && (finding === true || finding === 'degraded')) this.env.passed?.(entry.endpoint.key);
  }

  #begin(entry: Entry): void {
    this.#end(entry);
    const env = { clock: this.env.clock, random: this.env.random, pace: this.#pace };
    const sessions = this.#configs.map((config) => {
      const target = targetOf(config, entry.endpoint.config, this.#cluster);
      return new CheckSession(config, probeOf(config, target, this.env), this, env);
    });
    entry.sessions = sessions;
    for (const session of sessions) this.#owners.set(session, entry);
    for (const session of sessions) session.start();
  }

  #end({ sessions }: Entry): void {
    for (const session of sessions) {
      this.#owners.delete(session);
      session.close();
    }
  }

  #tell(entry: Entry, finding: Finding): void {
    if (entry.finding === finding) return;
    entry.finding = finding;
    entry.endpoint.health.checked(finding, this.env.clock.now());
  }

  #count({ result }: CheckNews): void {
    const counts = this.#counts;
    if (result.passed || result.failure !== 'passive') counts.attempts++;
    if (result.passed) {
      counts.successes++;
      return;
    }
    counts.failures++;
    if (result.failure === 'passive') counts.passiveFailures++;
    else if (result.failure !== 'active') counts.networkFailures++;
  }

  /** With the fields of Envoy's `HealthCheckEvent`. */
  #report({ config }: CheckSession, { endpoint: { key } }: Entry, { before, state, result }: CheckNews): void {
    const { name } = this.#cluster;
    const by = config.check.kind;
    const common = { health_checker_type: by.toUpperCase(), host: key, cluster_name: name };
    const first_check = before === 'pending';
    const healthy = state === 'healthy';
    if (!result.passed) {
      const failure = { failure_type: result.failure.toUpperCase() };
      const event = first_check
        ? { health_check_failure_event: { ...failure, first_check } }
        : { eject_unhealthy_event: failure };
      this.env.logger.warn('endpoint fails its health check', { ...common, ...event, detail: result.detail });
    } else if (first_check) {
      // As it should be, and of every endpoint.
      this.env.logger.debug('endpoint passes its health check', { ...common, add_healthy_event: { first_check } });
      return;
    } else {
      this.env.logger.info('endpoint passes its health check', { ...common, add_healthy_event: { first_check } });
    }
    this.env.meter.event({ kind: 'health:changed', cluster: name, endpoint: key, by, healthy });
  }

  #now(): CheckedNow {
    let healthy = 0;
    let degraded = 0;
    for (const { finding } of this.#entries.values()) {
      if (finding === 'degraded') degraded++;
      if (finding === true || finding === 'degraded') healthy++;
    }
    return { healthy, degraded };
  }
}

const sessionKey = (configs: readonly HealthCheckConfig[], { name, tls }: CheckedCluster): string =>
  JSON.stringify([configs, name, tls]);
