import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';
import type { ClusterConfig, TlsOrigination } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { Reply } from '../../core/reply.js';
import { type Service, stack } from '../../core/service.js';
import type { Transport } from '../../core/transport.js';
import { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { RetryBudget } from '../../resilience/retry/budget.js';
import { balancingKey, createBalancer } from '../balancer/balancer.js';
import { PeakEwma } from '../balancer/peak-ewma.js';
import type { ClientEnv } from '../env.js';
import { clusterFilters } from '../stack.js';
import { type Elsewhere, send } from './accounting.js';
import { LoadAccount } from './cluster-load.js';
import { Search } from './elsewhere.js';
import { Endpoint } from './endpoint.js';
import { NoEndpointError } from './errors.js';
import { choose, type Rank } from './failover.js';
import { FAILOVER_MS, Level } from './level.js';
import { byPriority } from './priorities.js';
import type { UnderWay } from './under-way.js';
import { keepingBody } from './unread-body.js';
import { waitFor } from './waiting.js';

/** Whose calls in back-off or in a queue keep a cluster alive. */
export type Busy = Pick<CircuitLimits, 'requests' | 'retries' | 'pending'>;

/**
 * One destination cluster at run time, shared by all that call it: endpoints with their load, limits, retry budget. A new configuration changes what
 * changed and keeps the rest: counters, latencies and connections of endpoints that remain.
 */
export class Cluster implements Rank {
  config: ClusterConfig;
  readonly limits: CircuitLimits;
  budget: RetryBudget;
  /** One attempt: limits, pick, send. */
  service: Service;
  /** Others can serve in its place: it is a leaf of an aggregate, and not the last. Written by the aggregate. */
  hasStandIn = false;
  /** Called when endpoints change. Bounded by max_pending_requests. */
  readonly bells = new Set<() => void>();
  /** Of aggregates that the cluster is a leaf of. */
  readonly #dependants = new Set<Busy>();
  readonly #load: LoadAccount;
  #endpoints = new Map<string, Endpoint>();
  /** By priority, the first one first; those without endpoints are not there. */
  #levels: ReadonlyMap<number, Level> = new Map();
  #ranks: readonly Level[] = [];
  /** The level that there is, when there is one: nearly always. */
  #only: Level | undefined;
  /** Nothing more will be heard of it: written by `forsake`. */
  #forsaken = false;

  constructor(
    config: ClusterConfig,
    private readonly env: ClientEnv,
    private readonly underWay: UnderWay,
  ) {
    this.config = config;
    this.#load = new LoadAccount(() => env.loads);
    this.#load.update(config);
    this.limits = new CircuitLimits(config.statName, config.limits, this.#load.watch(env.meter));
    this.budget = new RetryBudget(config.retryBudget, env.clock);
    this.service = this.#stack();
    this.#updateEndpoints(config.endpoints, false);
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#endpoints.values()];
  }

  get statName(): string {
    return this.config.statName;
  }

  /** Whether a call has chosen it and is not done with it: under way, waiting, or between two attempts. */
  get busy(): boolean {
    if (isBusy(this.limits)) return true;
    for (const dependant of this.#dependants) if (isBusy(dependant)) return true;
    return false;
  }

  /** It has no endpoint that could take a call. */
  get empty(): boolean {
    return this.#ranks.length === 0;
  }

  /** Nothing more will be heard of it. */
  get forsaken(): boolean {
    return this.#forsaken;
  }

  usable(now: number): boolean {
    return this.#ranks.some((level) => level.usable(now));
  }

  due(now: number): boolean {
    return this.#ranks.some((level) => level.due(now));
  }

  update(config: ClusterConfig): void {
    const before = this.config;
    if (config === before) return;
    this.config = config;
    this.#forsaken = false;
    this.limits.update(config.limits);
    const b = config.retryBudget;
    const old = before.retryBudget;
    if (b.retryRatio !== old.retryRatio || b.minRetriesPerSecond !== old.minRetriesPerSecond || b.ttlMs !== old.ttlMs) {
      this.budget = new RetryBudget(b, this.env.clock);
    }
    const account = this.#load.update(config);
    if (account || config.drops !== before.drops) this.service = this.#stack();
    const balancer = balancingKey(config) !== balancingKey(before);
    if (balancer) {
      for (const level of this.#ranks) {
        level.balancer.close();
        level.balancer = createBalancer(config, this.env);
      }
    }
    const reconnect =
      config.protocol !== before.protocol ||
      config.tls?.sni !== before.tls?.sni ||
      (config.tls === undefined) !== (before.tls === undefined) ||
      config.connectTimeoutMs !== before.connectTimeoutMs ||
      config.idleTimeoutMs !== before.idleTimeoutMs;
    if (reconnect || balancer || account || config.endpoints !== before.endpoints)
      this.#updateEndpoints(config.endpoints, reconnect);
  }

  /** Keeps the cluster alive while calls of an aggregate that it is a leaf of may come. */
  serves(dependant: Busy): void {
    for (const other of this.#dependants) if (!isBusy(other)) this.#dependants.delete(other);
    this.#dependants.add(dependant);
  }

  /** No target names the cluster any more, and nobody tells of it: calls that wait for endpoints wait in vain. */
  forsake(): void {
    this.#forsaken = true;
    this.#ring();
  }

  /** Neither is any call left: connections close as those that are open end. */
  retire(): void {
    this.forsake();
    this.#load.close();
    for (const level of this.#ranks) level.balancer.close();
    for (const endpoint of this.#endpoints.values()) endpoint.retire();
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    this.#load.close();
    for (const level of this.#ranks) level.balancer.close();
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.close()));
  }

  #stack(): Service {
    const filters = clusterFilters(this.config, this.limits, this.#load.load, this.env);
    return stack(filters, this.#attempt);
  }

  #ring(): void {
    for (const bell of [...this.bells]) bell();
  }

  #updateEndpoints(configs: readonly EndpointConfig[], reconnect: boolean): void {
    const before = this.#endpoints;
    const now = this.env.clock.now();
    const after = new Map<string, Endpoint>();
    for (const config of configs) {
      const kept = reconnect ? undefined : before.get(config.key);
      if (kept !== undefined) kept.config = config;
      const endpoint = kept ?? new Endpoint(config, this.#latency(now), this.#connect, now);
      endpoint.load = this.#load.ofEndpoint(config);
      after.set(config.key, endpoint);
    }
    this.#endpoints = after;
    this.#rank([...after.values()], now);
    for (const endpoint of before.values()) if (after.get(endpoint.key) !== endpoint) endpoint.retire();
    this.#ring();
  }

  /** A level outlives changes of its endpoints: what is known of them goes with them, its place in its back-off stays. */
  #rank(endpoints: readonly Endpoint[], now: number): void {
    const levels = new Map<number, Level>();
    for (const [priority, group] of byPriority(endpoints)) {
      const level = this.#levels.get(priority) ?? new Level(createBalancer(this.config, this.env), this.env.random);
      levels.set(priority, level);
      level.update(group, now);
    }
    for (const [priority, level] of this.#levels) {
      if (levels.has(priority)) continue;
      level.update([], now);
      level.balancer.close();
    }
    this.#levels = levels;
    this.#ranks = [...levels.values()];
    this.#only = this.#ranks.length === 1 ? this.#ranks[0] : undefined;
  }

  #latency(now: number): PeakEwma {
    const { balancer } = this.config;
    return balancer.kind === 'peak_ewma'
      ? new PeakEwma(balancer.decayMs, balancer.defaultRttMs, now)
      : new PeakEwma(10_000, 30, now);
  }

  readonly #connect = (config: EndpointConfig, protocol: Call['protocol'], https: boolean): Transport => {
    const { tls, connectTimeoutMs, idleTimeoutMs } = this.config;
    const { clock, logger, transports } = this.env;
    const http2 = protocol === 'grpc' || this.config.protocol === 'http2';
    // The application wrote https: the mesh must not make less of it, whatever the cluster says.
    const origination: TlsOrigination | undefined =
      tls ?? (https ? { sni: config.hostname ?? config.addresses[0].host } : undefined);
    const open = http2 ? transports.http2 : transports.http1;
    // The failover timer of gRFC A56 for the call that connects, too: where others can serve, nobody waits for longer.
    const last = this.#ranks.at(-1);
    const standIn = this.hasStandIn || this.#endpoints.get(config.key)?.level !== last;
    return open({
      endpoint: config,
      tls: origination,
      connectTimeoutMs: standIn ? Math.min(connectTimeoutMs, FAILOVER_MS) : connectTimeoutMs,
      idleTimeoutMs,
      limits: this.limits,
      clock,
      logger,
    });
  };

  readonly #attempt: Service = (call) => keepingBody(call, this.#pickAndSend);

  readonly #pickAndSend: Service = (call) => {
    if (this.underWay.closed) return Promise.reject(new MeshClosedError());
    const level = this.#only ?? choose(this.#ranks, this.env.clock.now(), undefined);
    const endpoint = level?.pick(call, this.env.clock);
    return endpoint === undefined ? this.#none(call) : this.#send(endpoint, call, this.#elsewhere);
  };

  #send(endpoint: Endpoint, call: Call, elsewhere: Elsewhere): Promise<Reply> {
    return send(this.env, this.underWay, endpoint, call.scheme === 'https', call, elsewhere);
  }

  /** The first endpoint could not be had: what follows is in `elsewhere.ts`. Nothing of it is made for calls that need it not. */
  readonly #elsewhere: Elsewhere = (call, endpoint, error, since) => {
    const search = new Search({
      levels: () => this.#ranks,
      now: () => this.env.clock.now(),
      send: (next, elsewhere) => this.#send(next, call, elsewhere),
      // Where another cluster can serve, nobody waits for a last resort of this one.
      until: this.hasStandIn ? since : since + this.config.connectTimeoutMs,
    });
    return search.elsewhere(call, endpoint, error, since);
  };

  #none(call: Call): Promise<Reply> {
    // Of a forsaken cluster nothing more is heard.
    if (!call.waitForReady || this.#forsaken) return Promise.reject(new NoEndpointError(this.config.name));
    const { limits, underWay, bells } = this;
    const open = (): boolean => !this.empty || this.#forsaken;
    return waitFor({ limits, underWay, bells: [bells], open }, call, () => this.#pickAndSend(call));
  }
}

export const isBusy = ({ requests, retries, pending }: Busy): boolean => requests > 0 || retries > 0 || pending > 0;
