import type { Call } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';
import type { ClusterConfig, TlsOrigination } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { Reply } from '../../core/reply.js';
import { type Service, stack } from '../../core/service.js';
import type { Transport } from '../../core/transport.js';
import { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { RetryBudget } from '../../resilience/retry/budget.js';
import { type Balancer, createBalancer } from '../balancer/balancer.js';
import { PeakEwma } from '../balancer/peak-ewma.js';
import type { ClientEnv } from '../env.js';
import { clusterFilters } from '../stack.js';
import { send } from './accounting.js';
import { Endpoint } from './endpoint.js';
import { NoEndpointError } from './errors.js';
import type { UnderWay } from './under-way.js';
import { usableEndpoints } from './usable.js';

/**
 * One destination cluster at run time, shared by all that call it: endpoints with their load, limits, retry budget. A new configuration changes what
 * changed and keeps the rest: counters, latencies and connections of endpoints that remain.
 */
export class Cluster {
  config: ClusterConfig;
  readonly limits: CircuitLimits;
  budget: RetryBudget;
  /** One attempt: limits, pick, send. */
  service: Service;
  #endpoints = new Map<string, Endpoint>();
  #balancer: Balancer;
  /** Written by `retire`, never reset. */
  #retired = false;
  /** Attempts of calls that wait for ready; called when endpoints change. Bounded by max_pending_requests. */
  readonly #waiting = new Set<() => void>();

  constructor(
    config: ClusterConfig,
    private readonly env: ClientEnv,
    private readonly underWay: UnderWay,
  ) {
    this.config = config;
    this.limits = new CircuitLimits(config.statName, config.limits, env.meter);
    this.budget = new RetryBudget(config.retryBudget, env.clock);
    this.#balancer = createBalancer(config.balancer, env);
    this.service = stack(clusterFilters(config, this.limits, env), this.#pickAndSend);
    this.#updateEndpoints(config.endpoints, false);
  }

  get endpoints(): readonly Endpoint[] {
    return [...this.#endpoints.values()];
  }

  update(config: ClusterConfig): void {
    const before = this.config;
    if (config === before) return;
    this.config = config;
    this.limits.update(config.limits);
    const b = config.retryBudget;
    const old = before.retryBudget;
    if (b.retryRatio !== old.retryRatio || b.minRetriesPerSecond !== old.minRetriesPerSecond || b.ttlMs !== old.ttlMs) {
      this.budget = new RetryBudget(b, this.env.clock);
    }
    this.service = stack(clusterFilters(config, this.limits, this.env), this.#pickAndSend);
    const balancer = JSON.stringify(config.balancer) !== JSON.stringify(before.balancer);
    if (balancer) this.#balancer = createBalancer(config.balancer, this.env);
    const reconnect =
      config.protocol !== before.protocol ||
      config.tls?.sni !== before.tls?.sni ||
      (config.tls === undefined) !== (before.tls === undefined) ||
      config.connectTimeoutMs !== before.connectTimeoutMs ||
      config.idleTimeoutMs !== before.idleTimeoutMs;
    if (reconnect || balancer || config.endpoints !== before.endpoints)
      this.#updateEndpoints(config.endpoints, reconnect);
  }

  /** No target names the cluster any more: connections close as their calls end. */
  retire(): void {
    this.#retired = true;
    for (const wake of [...this.#waiting]) wake();
    for (const endpoint of this.#endpoints.values()) endpoint.retire();
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    await Promise.all([...this.#endpoints.values()].map((endpoint) => endpoint.close()));
  }

  #updateEndpoints(configs: readonly EndpointConfig[], reconnect: boolean): void {
    const before = this.#endpoints;
    const now = this.env.clock.now();
    const after = new Map<string, Endpoint>();
    for (const config of configs) {
      const kept = reconnect ? undefined : before.get(config.key);
      if (kept !== undefined) kept.config = config;
      after.set(config.key, kept ?? new Endpoint(config, this.#latency(now), this.#connect, now));
    }
    this.#endpoints = after;
    for (const endpoint of before.values()) if (after.get(endpoint.key) !== endpoint) endpoint.retire();
    this.#balancer.update(usableEndpoints([...after.values()]));
    for (const wake of [...this.#waiting]) wake();
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
    return open({
      endpoint: config,
      tls: origination,
      connectTimeoutMs,
      idleTimeoutMs,
      limits: this.limits,
      clock,
      logger,
    });
  };

  readonly #pickAndSend: Service = (call) => {
    if (this.underWay.closed) return Promise.reject(new MeshClosedError());
    const endpoint = this.#balancer.pick(call.tried);
    if (endpoint !== undefined) return send(this.env, this.underWay, endpoint, call.scheme === 'https', call);
    const error = new NoEndpointError(this.config.name);
    // Of a retired cluster nothing more is heard.
    if (!call.waitForReady || this.#retired) return Promise.reject(error);
    return this.limits.tryWait() ? this.#whenEndpoints(call) : Promise.reject(this.limits.overflow());
  };

  /** "wait_for_ready": the call stays until there are endpoints or its deadline passes. */
  #whenEndpoints(call: Call): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const place = this.underWay.begin(call);
      const leave = (): void => {
        this.#waiting.delete(wake);
        this.underWay.end(place);
        call.cancellation.remove(cancelled);
        this.limits.waited();
      };
      const wake = (): void => {
        if (this.#endpoints.size === 0 && !this.#retired) return;
        leave();
        resolve(this.#pickAndSend(call));
      };
      const cancelled = (reason: Error): void => {
        leave();
        reject(reason);
      };
      this.#waiting.add(wake);
      call.cancellation.add(cancelled);
    });
  }
}
