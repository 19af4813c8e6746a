import type { Clock } from '../../core/clock.js';
import type { Call, Protocol } from '../../core/call.js';
import { MeshClosedError } from '../../core/errors.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';
import type { Reply } from '../../core/reply.js';
import { type Service, stack } from '../../core/service.js';
import type { Transport } from '../../core/transport.js';
import { DestinationBreaker } from '../../resilience/breaker/filter.js';
import { CircuitLimits } from '../../resilience/concurrency/circuit-limits.js';
import { createFallback, type Fallback } from '../../resilience/fallback/fallback.js';
import { RetryBudget } from '../../resilience/retry/budget.js';
import { sessionEndpoint } from '../balancer/affinity.js';
import { balancingKey, choosesByHash, type PickRequest } from '../balancer/balancer.js';
import { latencySettings, PeakEwma, reconfigureLatencies } from '../balancer/peak-ewma.js';
import type { ClientEnv } from '../env.js';
import { clusterFilters } from '../stack.js';
import { type Elsewhere, send } from './accounting.js';
import { Aperture } from './aperture.js';
import { BalancerMaker } from './balancing.js';
import { LoadAccount } from './cluster-load.js';
import { connect, needsNewConnections } from './connecting.js';
import { type Dependant, Dependants } from './dependants.js';
import { nowhereElse, Search } from './elsewhere.js';
import { Endpoint } from './endpoint.js';
import { NoEndpointError, SessionGoneError } from './errors.js';
import type { Rank } from './failover.js';
import { HealthWatchers } from './health-watchers.js';
import { Members } from './members.js';
import { Priorities } from './priorities.js';
import type { UnderWay } from './under-way.js';
import { keepingBody } from './unread-body.js';
import { redraw } from './redraw.js';
import { WaitingRoom } from './waiting.js';

/**
 * One destination cluster at run time, shared by all that call it: endpoints with their load, limits, retry budget. A new configuration changes what
 * changed and keeps the rest: counters, latencies, health and connections of endpoints that remain.
 */
export class Cluster implements Rank {
  config: ClusterConfig;
  readonly limits: CircuitLimits;
  budget: RetryBudget;
  breaker: DestinationBreaker | undefined;
  fallback: Fallback | undefined;
  /** One attempt: limits, breaker, pick, send. It waits for nothing but its reply. An update may replace it. */
  attempt: Service;
  /** Its endpoints are let go: another one of its name serves from now on. */
  retired = false;
  readonly #dependants = new Dependants();
  readonly #load: LoadAccount;
  readonly #members = new Members();
  readonly #aperture: Aperture;
  readonly #priorities: Priorities;
  readonly #watchers: HealthWatchers;
  readonly #room: WaitingRoom;

  constructor(
    config: ClusterConfig,
    private readonly env: ClientEnv,
    private readonly underWay: UnderWay,
  ) {
    this.config = config;
    const { clock, random } = env;
    this.#load = new LoadAccount(() => env.loads);
    this.#load.update(config);
    this.limits = new CircuitLimits(config.statName, config.limits, this.#load.watch(env.meter));
    this.budget = new RetryBudget(config.retryBudget, clock);
    this.#updateBreaker();
    this.fallback = createFallback(config.fallback, env);
    this.attempt = this.#stack();
    const { limits } = this;
    this.#room = new WaitingRoom({ clock, limits, underWay, lookAgainAt: () => this.reconnectsAt });
    const balancers = new BalancerMaker(
      () => this.config,
      env,
      () => limits.requests,
    );
    const balancer = () => balancers.make();
    this.#aperture = new Aperture(env);
    this.#priorities = new Priorities(config, { clock, random, balancer, onChange: () => this.#news() });
    this.#watchers = new HealthWatchers(env);
    this.#watchers.configure(config);
    this.#updateEndpoints(false, false);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#members.list;
  }

  get statName(): string {
    return this.config.statName;
  }

  /** Whether a call has chosen it and is not done with it: under way, waiting, or between two attempts. */
  get busy(): boolean {
    const { requests, retries, pending } = this.limits;
    return requests > 0 || retries > 0 || pending > 0 || this.#dependants.busy;
  }

  /** Others can serve in its place: it is a leaf of an aggregate, and not the last. */
  get hasStandIn(): boolean {
    return this.#dependants.standInFor(this.config.name);
  }

  get hashes(): boolean {
    return choosesByHash(this.config);
  }

  hold(call: Call): () => void {
    return this.underWay.hold(call);
  }

  others(tried: readonly string[], call: Call): boolean {
    const { hash, affinity, subset, headers } = call;
    return !call.strictAffinity && this.#priorities.others({ tried, hash, affinity, subset, headers });
  }

  /** It has no endpoint that could take a call. */
  get empty(): boolean {
    return this.#priorities.ranks.length === 0;
  }

  /** Monotonic milliseconds at which the first of the endpoints that cannot be reached may be tried again; Infinity when there is none. */
  get reconnectsAt(): number {
    return Math.min(...this.#priorities.ranks.map((level) => level.reconnectsAt));
  }

  /** Whether an aggregate may send calls here. */
  usable(now: number): boolean {
    if (this.breaker?.refuses(now) === true) return false;
    return this.#priorities.ranks.some((level) => level.usable(now));
  }

  look(request: PickRequest, clock: Pick<Clock, 'now'>): void {
    for (const level of this.#priorities.ranks) level.look(request, clock);
  }

  /** One attempt; one that waits for ready waits until it could be sent. */
  readonly service: Service = (call) =>
    call.waitForReady ? this.#room.serve(call, (again) => this.attempt(again)) : this.attempt(call);

  /** Whether the call's session is bound to an endpoint here that may be used. */
  hasSession(call: Call): boolean {
    return sessionEndpoint(call, this.#members.byKey, this.config.sessionStatuses) !== undefined;
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
    if (config.fallback !== before.fallback) this.fallback = createFallback(config.fallback, this.env);
    const account = this.#load.update(config);
    if (this.#updateBreaker() || account || config.drops !== before.drops) this.attempt = this.#stack();
    reconfigureLatencies(this.#members.list, before.balancer, config.balancer);
    const renew = needsNewConnections(before, config);
    if (renew) for (const endpoint of this.#members.list) this.#renew(endpoint);
    this.#priorities.configure(config);
    this.#watchers.configure(config);
    this.#updateEndpoints(account, renew);
    if (balancingKey(config) !== balancingKey(before)) this.#priorities.rebalance();
  }

  warmed(): Promise<unknown> {
    return Promise.all(this.#aperture.used.map((endpoint) => endpoint.warmed()));
  }

  /** Keeps the cluster alive while calls of an aggregate that it is a leaf of may come. */
  serves(dependant: Dependant): void {
    this.#dependants.add(dependant);
  }

  /** No target names the cluster any more, and no call is left: connections close as those that are open end. */
  retire(): void {
    this.retired = true;
    this.#stop();
    for (const endpoint of this.#members.list) endpoint.retire();
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    this.#stop();
    await Promise.all(this.#members.list.map((endpoint) => endpoint.close()));
  }

  #stop(): void {
    this.#load.close();
    this.#watchers.close();
    this.#priorities.close();
  }

  /** True when it has come or gone. */
  #updateBreaker(): boolean {
    const { breaker, statName } = this.config;
    if (breaker !== undefined && this.breaker !== undefined) {
      this.breaker.update(breaker);
      return false;
    }
    const changed = (breaker === undefined) !== (this.breaker === undefined);
    const { clock, random, meter } = this.env;
    this.breaker = breaker && new DestinationBreaker(breaker, { clock, random, meter, cluster: statName });
    return changed;
  }

  #stack(): Service {
    const filters = clusterFilters(this.config, this.limits, this.breaker, this.#load.load, this.env);
    return stack(filters, this.#keepAndSend);
  }

  #news(): void {
    this.#room.news();
    this.#dependants.news();
  }

  /** `account`: load is counted elsewhere than before; `renew`: all endpoints have lost their connections. */
  #updateEndpoints(account: boolean, renew: boolean): void {
    const now = this.env.clock.now();
    const change = this.#members.update(
      this.config.endpoints,
      (config) => this.#endpoint(config, now),
      (endpoint, config) => endpoint.configure(config, now),
    );
    const { list } = this.#members;
    const counted = account ? list : (change?.changed ?? []);
    for (const endpoint of counted) endpoint.load = this.#load.ofEndpoint(endpoint.config);
    const turnover = this.#aperture.update(this.config, list, change);
    const { used } = this.#aperture;
    if (turnover !== undefined) this.#priorities.update(used, turnover.priorities);
    const removed = change?.removed ?? [];
    this.#watchers.update(used, turnover === undefined ? removed : [...removed, ...turnover.left]);
    for (const endpoint of turnover?.left ?? []) endpoint.leave(now);
    for (const endpoint of removed) {
      endpoint.onHealthChange = undefined;
      endpoint.retire();
    }
    this.#openAhead(renew ? used : (turnover?.changed ?? []));
    if (turnover !== undefined) this.#news();
  }

  /** Connections that are wanted before there are calls: a transport opens them as soon as it is there. */
  #openAhead(endpoints: readonly Endpoint[]): void {
    const { connections, protocol } = this.config;
    if (connections === undefined || connections.warm === 0) return;
    for (const endpoint of endpoints) endpoint.transport(protocol === 'http2' ? 'grpc' : 'http', false);
  }

  #renew(endpoint: Endpoint): void {
    endpoint.protocol = this.config.protocol;
    endpoint.reconnect();
  }

  #endpoint(config: EndpointConfig, now: number): Endpoint {
    const { decayMs, defaultRttMs } = latencySettings(this.config.balancer);
    const endpoint = new Endpoint(config, new PeakEwma(decayMs, defaultRttMs, now), this.#connect, now);
    endpoint.protocol = this.config.protocol;
    endpoint.onHealthChange = this.#healthChanged;
    return endpoint;
  }

  readonly #healthChanged = (): void => this.#priorities.healthChanged();

  readonly #connect = (config: EndpointConfig, protocol: Protocol, https: boolean): Transport => {
    const standIn = this.hasStandIn || this.#members.byKey.get(config.key)?.level !== this.#priorities.ranks.at(-1);
    return connect(this.config, config, protocol, https, standIn, this.limits, this.env);
  };

  readonly #keepAndSend: Service = (call) => keepingBody(call, this.#pickAndSend);

  readonly #pickAndSend: Service = (call) => {
    if (this.underWay.closed) return Promise.reject(new MeshClosedError());
    const session =
      call.affinity === undefined ? undefined : sessionEndpoint(call, this.#members.byKey, this.config.sessionStatuses);
    if (call.strictAffinity) {
      if (session === undefined) return Promise.reject(new SessionGoneError(this.config.name, call.affinity));
      return this.#send(session, call, nowhereElse);
    }
    const endpoint = session ?? this.#pick(call);
    if (endpoint === undefined) return Promise.reject(new NoEndpointError(this.config.name));
    return this.#send(endpoint, call, this.#elsewhere);
  };

  #pick(call: Call): Endpoint | undefined {
    if (call.redraws === undefined) return this.#priorities.pick(call);
    return redraw(call, call.redraws, (request) => this.#priorities.pick(request));
  }

  #send(endpoint: Endpoint, call: Call, elsewhere: Elsewhere): Promise<Reply> {
    return send(this.env, this.underWay, endpoint, call.scheme === 'https', call, elsewhere);
  }

  /** The first endpoint could not be had: what follows is in `elsewhere.ts`. Nothing of it is made for calls that need it not. */
  readonly #elsewhere: Elsewhere = (call, endpoint, error, since) => {
    const search = new Search({
      levels: () => this.#priorities.ranks,
      clock: this.env.clock,
      send: (next, elsewhere) => this.#send(next, call, elsewhere),
      // Where another cluster can serve, nobody waits for a last resort of this one.
      until: this.hasStandIn ? since : since + this.config.connectTimeoutMs,
    });
    return search.elsewhere(call, endpoint, error, since);
  };
}
