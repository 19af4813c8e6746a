import type { Clock } from '../../core/clock.js';
import type { Protocol } from '../../core/call.js';
import type { LocalityLoad } from '../../core/load-reports.js';
import type { BackendMetrics } from '../../core/orca.js';
import type { ClusterConfig } from '../../core/model/cluster.js';
import type { Address, EndpointConfig } from '../../core/model/endpoint.js';
import type { Transport } from '../../core/transport.js';
import { INFLIGHT, slab } from '../balancer/load-slab.js';
import type { PeakEwma } from '../balancer/peak-ewma.js';
import { EndpointHealth } from './health.js';
import type { Level, Reach } from './level.js';
import type { Reconnection } from './reconnection.js';

/** Who judges an endpoint by what becomes of its attempts. */
export interface AttemptMonitor {
  /**
   * One attempt ended. `status` is HTTP's, or what a gRPC status maps to (Envoy `grpcToHttpStatus`); undefined when no reply came. `local`: the
   * failure is of the connection or of time, not the server's word (Envoy's local origin). Not told of attempts that the caller gave up.
   */
  finished(outcome: 'success' | 'failure', status: number | undefined, local: boolean, now: number): void;
}

/** Opens connections to an endpoint for calls of one kind. */
export type Connect = (config: EndpointConfig, protocol: Protocol, https: boolean) => Transport;

/**
 * One endpoint at run time: its load, its history, its connections. Kept across updates as long as the endpoint is configured, whatever else
 * changes, so that no update forgets who was slow.
 */
export class Endpoint {
  /** Where what balancers read of it is in the slab: its latency, what is under way, when it was last picked. */
  readonly row: number;
  /**
   * Share of traffic among the endpoints that are used, in any unit. Written by the cluster at each update. (A number with a fraction from the beginning:
   * V8 gives 20,000 objects another shape, one by one, when the first of them gets one later.)
   */
  weight = Number.NaN;
  /**
   * Written by the aperture, where there is one and it is used: for how many endpoints it stands, itself included, and for which part of what is
   * configured in its locality those stand that are chosen there, by weight.
   */
  sample: { readonly count: number; readonly place: number } | undefined;
  /** What calls other than gRPC speak to it. Written by the cluster. */
  protocol: ClusterConfig['protocol'] = 'http1';
  /** Its place among the levels of its cluster; undefined when calls do not go to it by themselves. Written by the level. */
  level: Level | undefined;
  /** When it is looked at again; undefined while it is not unreachable. Written by the level. */
  reconnection: Reconnection | undefined;
  /** The look that has not ended yet. */
  looking: Promise<void> | undefined;
  /** Where its load is counted; undefined: nobody asks. Written by the cluster at each update. */
  load: LocalityLoad | undefined;
  readonly health: EndpointHealth;
  /** Told when the verdict on its health is another one. Written by the cluster. */
  onHealthChange: (() => void) | undefined;
  /** Told of each attempt's end; written by outlier detection. */
  monitor: AttemptMonitor | undefined;
  /** Told of the first attempt, once; written by who checks its health. */
  onTried: (() => void) | undefined;
  /** Told when a reply says `x-envoy-immediate-health-check-fail`; written by who checks its health. */
  onFailNow: (() => void) | undefined;
  /** Told of each load report that comes with a reply; written by balancers that weigh by it (gRFC A58). */
  onReport: ((report: BackendMetrics, now: number) => void) | undefined;
  /** Written by the cluster's accounting, through the methods below. */
  #reach: Reach = 'untried';
  /** By kind; a map of its own from the first call on, as most of 20,000 endpoints never have one. */
  #transports: Map<string, Transport> | undefined;
  /** No longer configured: its connections close when the last attempt ends. */
  #retired = false;

  constructor(
    public config: EndpointConfig,
    /** Latency seen, as peak EWMA. Written by the cluster's accounting. */
    readonly latency: PeakEwma,
    private readonly connect: Connect,
    now: number,
  ) {
    this.row = latency.row;
    this.weight = config.weight;
    this.health = new EndpointHealth(config.health, now, this);
  }

  get key(): string {
    return this.config.key;
  }

  /** Attempts under way. Written by the cluster's accounting; read by balancers. */
  get inflight(): number {
    return slab.values[this.row + INFLIGHT] as number;
  }

  set inflight(attempts: number) {
    slab.values[this.row + INFLIGHT] = attempts;
  }

  get connections(): number {
    let open = 0;
    if (this.#transports !== undefined) for (const { connections } of this.#transports.values()) open += connections;
    return open;
  }

  get reach(): Reach {
    return this.#reach;
  }

  /** An attempt got through to it. */
  reached(now: number): void {
    this.#move('reached', now);
  }

  /** A connection could not be made. One that has others which serve is only busy. */
  connectFailed(now: number): void {
    if (this.inflight === 0 || this.connections === 0) this.#move('unreachable', now);
  }

  /** The connections for such calls: those that speak the same share them. */
  transport(protocol: Protocol, https: boolean): Transport {
    const wire = protocol === 'grpc' ? 'http2' : this.protocol;
    const kind = https ? `${wire}s` : wire;
    this.#transports ??= new Map();
    let transport = this.#transports.get(kind);
    if (transport === undefined) {
      transport = this.connect(this.config, protocol, https);
      this.#transports.set(kind, transport);
    }
    return transport;
  }

  /** Settled when the connections wanted ahead of calls are open, or cannot be had for now. */
  warmed(): Promise<unknown> {
    return Promise.all([...(this.#transports?.values() ?? [])].map((transport) => transport.warmed?.()));
  }

  /** Finds out whether it can be reached, at no call's cost, and tells of it as an attempt does. The result says when it has. */
  look(clock: Pick<Clock, 'now'>): Promise<void> {
    if (this.#retired) return Promise.resolve();
    this.looking ??= this.#look(clock);
    return this.looking;
  }

  #look(clock: Pick<Clock, 'now'>): Promise<void> {
    const transport =
      [...(this.#transports?.values() ?? [])].at(-1) ??
      this.transport(this.protocol === 'http2' ? 'grpc' : 'http', false);
    const ended = (tell: (now: number) => void): void => {
      this.looking = undefined;
      // Of connections that have been given up it says nothing.
      for (const each of this.#transports?.values() ?? []) if (each === transport) tell(clock.now());
    };
    return transport.connect().then(
      () => ended((now) => this.reached(now)),
      () => ended((now) => this.connectFailed(now)),
    );
  }

  /** What is configured of it has changed. Where it is reached, or by which name, is a matter of new connections. */
  configure(config: EndpointConfig, now: number): void {
    const before = this.config;
    this.config = config;
    if (config.health !== before.health) this.health.configure(config.health, now);
    if (config.hostname !== before.hostname || !areSame(config.addresses, before.addresses)) this.reconnect();
  }

  /** New calls go over new connections; those under way stay on theirs, which close when they have ended. */
  reconnect(): void {
    void this.#disconnect(false);
  }

  /** The client uses it no more, though it is configured: its connections close, and what was found out about its health is forgotten. */
  leave(now: number): void {
    this.health.forget(now);
    this.reconnect();
  }

  /** Another endpoint is there before this one could be connected to: calls that wait for its connections go on to that one. */
  giveUp(): void {
    if (this.connections === 0) void this.#disconnect(true);
  }

  /** One attempt ended. */
  released(): void {
    this.inflight--;
    if (this.#retired && this.inflight === 0) void this.#disconnect(false);
  }

  retire(): void {
    this.#retired = true;
    if (this.inflight === 0) void this.#disconnect(false);
  }

  /** Closes all connections now; attempts under way fail. */
  close(): Promise<void> {
    this.#retired = true;
    return this.#disconnect(true);
  }

  #move(to: Reach, now: number): void {
    const from = this.#reach;
    this.#reach = to;
    this.level?.moved(this, from, to, now);
    if (from === 'untried') this.onTried?.();
  }

  async #disconnect(force: boolean): Promise<void> {
    const transports = [...(this.#transports?.values() ?? [])];
    this.#transports = undefined;
    await Promise.all(transports.map((transport) => transport.close(force)));
  }
}

const areSame = (a: readonly Address[], b: readonly Address[]): boolean =>
  a === b || (a.length === b.length && a.every(({ host, port }, i) => host === b[i]?.host && port === b[i]?.port));
