import type { Clock } from '../../core/clock.js';
import { CLUSTER, ENDPOINT, LISTENER, RESOURCE_TYPES, ROUTE, type ResourceType } from '../../core/resources.js';
import { endpointsOf } from '../snapshot/references.js';
import type { Snapshot, SnapshotResource, TypeSnapshot } from '../snapshot/snapshot.js';
import { type Plan, plan } from '../subscription/plan.js';
import {
  forget,
  isOutstanding,
  noSubscription,
  type RequestOutcome,
  receive,
  responded,
  type Subscription,
  type SubscriptionRequest,
} from '../subscription/subscription.js';
import { HeldClusters } from './held-clusters.js';

/** One response, ready to be written. */
export interface StreamResponse {
  readonly type: ResourceType;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly SnapshotResource[];
  /** Names that were asked for, do not exist, and were not yet said not to (gRFC A88: each error is sent once). */
  readonly absent: readonly string[];
}

export interface ClientStreamOptions {
  readonly clock: Clock;
  readonly send: (response: StreamResponse) => void;
  /** How long a removed cluster is kept for a client that has been sent the new routes, in milliseconds. */
  readonly holdMs: number;
  /** How long new routes wait for a client to ask for the endpoints of the clusters they need, in milliseconds. */
  readonly warmingMs: number;
}

/**
 * What one client is sent, and in which order. Without a socket: requests and snapshots go in, responses come out.
 *
 * Make before break: types are served in the order CDS, EDS, LDS, RDS, and nothing overtakes an earlier type that has something to
 * say. A type is not pushed again before its last response was answered; what changed meanwhile goes out with the answer, so only
 * the newest counts. Removed clusters stay until the client needs them no longer (HeldClusters).
 */
export class ClientStream {
  readonly #options: ClientStreamOptions;
  /** In the order in which they are served. Written by `request` and `#respond`. */
  readonly #subscriptions = new Map<ResourceType, Subscription>();
  readonly #held = new HeldClusters();
  /** Endpoint sets of clusters that this client was sent for the first time, and not their endpoints yet. */
  readonly #warming = new Set<string>();
  #target: Snapshot | undefined;
  #nonces = 0;
  /** Set when routes first wait for `#warming`; monotonic milliseconds. */
  #warmingUntil: number | undefined;
  #cancelTimer: (() => void) | undefined;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
  }

  /** Types the client has asked for, as they stand. */
  get subscriptions(): ReadonlyMap<ResourceType, Subscription> {
    return this.#subscriptions;
  }

  /** Everything that this client wants of the newest configuration has been sent and accepted. */
  get synced(): boolean {
    for (const [type, subscription] of this.#subscriptions) {
      if (subscription.last !== undefined && subscription.last.answer !== 'acked') return false;
      if (this.#plan(type) !== undefined) return false;
    }
    return this.#held.size === 0;
  }

  /** A request of the client, at wall time `at`. */
  request(type: ResourceType, request: SubscriptionRequest, at: number): RequestOutcome {
    const before = this.#subscriptions.get(type) ?? noSubscription(type);
    const { subscription, outcome } = receive(before, request, at);
    this.#subscriptions.set(type, subscription);
    if (outcome !== 'stale') this.#advance();
    return outcome;
  }

  /** The newest configuration. */
  target(snapshot: Snapshot): void {
    this.#target = snapshot;
    this.#held.keep(snapshot.types[CLUSTER]);
    this.#advance();
  }

  close(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#target = undefined;
    this.#subscriptions.clear();
  }

  /** Sends all that can be sent now. */
  #advance(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#target === undefined) return;
    if (!this.#pushAll()) return;
    if (this.#held.size === 0) return;
    // Every new route is on its way to the client: now what is old may go.
    this.#held.startBound(this.#options.clock.now(), this.#options.holdMs);
    this.#releaseClusters();
    this.#pushAll();
    const expiry = this.#routesRefused() ? undefined : this.#held.nextExpiry();
    if (expiry !== undefined) this.#wakeAt(expiry);
  }

  /** One pass over the types in order; false when one of them has to wait. */
  #pushAll(): boolean {
    for (const type of RESOURCE_TYPES) {
      const next = this.#plan(type);
      if (next === undefined) continue;
      const subscription = this.#subscriptions.get(type) as Subscription;
      if (isOutstanding(subscription)) return false;
      if ((type === LISTENER || type === ROUTE) && this.#isWarming()) return false;
      this.#respond(subscription, next);
    }
    return true;
  }

  #plan(type: ResourceType): Plan | undefined {
    const subscription = this.#subscriptions.get(type);
    return subscription === undefined || this.#target === undefined
      ? undefined
      : plan(subscription, this.#available(type));
  }

  #available(type: ResourceType): TypeSnapshot {
    const target = (this.#target as Snapshot).types[type];
    return type === CLUSTER ? this.#held.over(target) : target;
  }

  #respond(before: Subscription, next: Plan): void {
    const { type } = before;
    const { version, resources } = next;
    const nonce = String(++this.#nonces);
    this.#subscriptions.set(type, responded(before, { ...next, nonce, at: this.#options.clock.wallTime() }));
    if (type === CLUSTER) this.#clustersSent(before, resources);
    if (type === ENDPOINT) this.#warmed(resources.map(({ name }) => name));
    this.#options.send({
      type,
      version,
      nonce,
      resources,
      absent: next.absent.filter((name) => !before.absent.has(name)),
    });
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (xds_protocol): so the endpoints of what is new or changed are sent after it, in any case.
   */
  #clustersSent(before: Subscription, resources: readonly SnapshotResource[]): void {
    this.#held.sent(resources);
    const needed = new Set(resources.map(({ resource }) => endpointsOf(resource)));
    this.#warmed([...this.#warming].filter((name) => !needed.has(name)));
    const changed: string[] = [];
    for (const { name, version, resource } of resources) {
      if (before.sent.get(name) === version) continue;
      const endpoints = endpointsOf(resource);
      if (endpoints === undefined) continue;
      changed.push(endpoints);
      if (before.wildcard) this.#warming.add(endpoints);
    }
    const subscription = this.#subscriptions.get(ENDPOINT);
    if (subscription !== undefined) this.#subscriptions.set(ENDPOINT, forget(subscription, changed));
  }

  /**
   * "routes are not warmed, i.e., the management plane must ensure that clusters referenced by a route are in place, before pushing
   * the updates for a route" (xds_protocol). A client that already serves gets changed routes only after the endpoints of what they
   * may name; one that has no routes yet has nothing that could break.
   */
  #isWarming(): boolean {
    const endpoints = this.#available(ENDPOINT).resources;
    if (!this.#hasRoutes() || ![...this.#warming].some((name) => endpoints.has(name))) {
      this.#warmingUntil = undefined;
      return false;
    }
    const now = this.#options.clock.now();
    this.#warmingUntil ??= now + this.#options.warmingMs;
    if (now < this.#warmingUntil) {
      this.#wakeAt(this.#warmingUntil);
      return true;
    }
    this.#warmed([...this.#warming]);
    return false;
  }

  /** Routes wait for these endpoints no longer. */
  #warmed(endpoints: readonly string[]): void {
    for (const name of endpoints) this.#warming.delete(name);
    if (this.#warming.size === 0) this.#warmingUntil = undefined;
  }

  #hasRoutes(): boolean {
    return this.#routing().some(({ sent }) => sent.size > 0);
  }

  #releaseClusters(): void {
    const clusters = this.#subscriptions.get(CLUSTER);
    const named = clusters !== undefined && !clusters.wildcard;
    const applied = this.#routesApplied();
    // Until it has the new routes, a client needs what the old ones name; one that refused them goes on with the old ones. A client
    // that names its clusters tells when it has switched: it changes over only when everything new has arrived (gRFC A74).
    this.#held.release((name) => !applied || (named && clusters.names.has(name)));
    if (!this.#routesRefused()) this.#held.dropExpired(this.#options.clock.now());
  }

  /** Listeners and routes were accepted, and no route that is gone is still asked for. */
  #routesApplied(): boolean {
    for (const subscription of this.#routing()) {
      if (isOutstanding(subscription) || subscription.refused.size > 0) return false;
    }
    const existing = this.#available(ROUTE).resources;
    for (const name of this.#subscriptions.get(ROUTE)?.sent.keys() ?? []) if (!existing.has(name)) return false;
    return true;
  }

  #routesRefused(): boolean {
    return this.#routing().some(({ refused }) => refused.size > 0);
  }

  /** What decides which clusters the client uses. */
  #routing(): Subscription[] {
    return [LISTENER, ROUTE].flatMap((type) => this.#subscriptions.get(type as ResourceType) ?? []);
  }

  #wakeAt(at: number): void {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(at - clock.now(), () => this.#advance(), { background: true });
  }
}
