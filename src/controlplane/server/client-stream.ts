import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import { CLUSTER, ENDPOINT, LISTENER, RESOURCE_TYPES, ROUTE, type ResourceType } from '../../core/resources.js';
import { noService } from '../../core/no-service.js';
import { endpointsOf } from '../snapshot/references.js';
import type { Snapshot, SnapshotResource } from '../snapshot/snapshot.js';
import { changesBetween } from '../subscription/changes.js';
import { isSpeechDue, type Plan, plan } from '../subscription/plan.js';
import { subscribe, type Wanted } from '../subscription/subscribe.js';
import { type Answer, type Difference, type RequestOutcome, Subscription } from '../subscription/subscription.js';
import { Warming } from './warming.js';

/** What one request says about one type. */
export interface StreamRequest extends Answer {
  readonly wanted: Wanted;
}

/** One response, ready to be written. */
export interface StreamResponse {
  readonly type: ResourceType;
  readonly version: string;
  readonly nonce: string;
  readonly resources: readonly SnapshotResource[];
  /** Names that do not exist, and were not yet said not to. */
  readonly absent: readonly string[];
  /** Of those among them that servers go by and that are no Service's: `noService`. */
  readonly noService: ReadonlyMap<string, string>;
}

export interface ClientStreamOptions {
  readonly clock: Clock;
  /** The incremental protocol; otherwise state of the world. */
  readonly incremental: boolean;
  readonly send: (response: StreamResponse) => void;
  /** How long what is gone is kept for a client that has been sent what takes its place, in milliseconds. */
  readonly holdMs: number;
  /** How long new routes wait for a client to ask for the endpoints of the clusters they need, in milliseconds. */
  readonly warmingMs: number;
}

/**
 * What one client is sent, and in which order, in either protocol. Without a socket: requests and snapshots go in, responses come out.
 *
 * Make before break: types are served in the order CDS, EDS, LDS, RDS, and nothing overtakes an earlier type that has something to
 * say. A type is not pushed again before its last response was answered, and nothing is while a response has not left (`pause`); what
 * changed meanwhile goes out afterwards, so only the newest counts. What is removed stays until the client needs it no longer (HeldResources).
 */
export class ClientStream {
  readonly #options: ClientStreamOptions;
  /** In the order in which the client asked for the types. */
  readonly #subscriptions = new Map<ResourceType, Subscription>();
  readonly #warming: Warming;
  #target: Snapshot | undefined;
  #responses = 0;
  #paused = false;
  #cancelTimer: (() => void) | undefined;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
    this.#warming = new Warming(options.warmingMs);
  }

  /** Types the client has asked for, as they stand. */
  get subscriptions(): ReadonlyMap<ResourceType, Subscription> {
    return this.#subscriptions;
  }

  /** Everything that this client wants of the newest configuration has been sent and accepted. */
  get synced(): boolean {
    const target = this.#target;
    for (const [type, subscription] of this.#subscriptions) {
      if (subscription.last !== undefined && subscription.last.answer !== 'acked') return false;
      if (subscription.held.size > 0) return false;
      if (target !== undefined && isSpeechDue(subscription, subscription.available(target.types[type]))) return false;
    }
    return true;
  }

  /** A request of the client, at wall time `at`. */
  request(type: ResourceType, { wanted, ...answer }: StreamRequest, at: number): RequestOutcome {
    let subscription = this.#subscriptions.get(type);
    const first = subscription === undefined;
    if (subscription === undefined) {
      subscription = new Subscription(type, this.#options.incremental);
      this.#subscriptions.set(type, subscription);
    }
    const outcome = subscription.answered(answer, at);
    subscribe(subscription, wanted, first);
    // "The management server should not send a DiscoveryResponse for any DiscoveryRequest that has a stale nonce." It is noted all the
    // same: a name that is dropped in this request and comes back in the next one has to be sent again. But in the incremental
    // protocol "the server must honor changes to the subscription state even if the nonce is stale" - xds_protocol, of both.
    if (outcome !== 'stale' || this.#options.incremental) this.#advance();
    return outcome;
  }

  /** The newest configuration. */
  target(snapshot: Snapshot): void {
    const before = this.#target;
    this.#target = snapshot;
    if (before !== undefined) {
      const changes = changesBetween(before, snapshot);
      for (const [type, subscription] of this.#subscriptions) subscription.changed(changes[type]);
    }
    this.#advance();
  }

  /** The response that is being sent has not left: nothing more is sent, for it would wait in memory for a client that may never read. */
  pause(): void {
    this.#paused = true;
  }

  /** It has: sends what there is to say by now. */
  resume(): void {
    this.#paused = false;
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
    const target = this.#target;
    if (target === undefined) return;
    if (!this.#pushAll(target)) return;
    if (!this.#holds()) return;
    // All that is new is on its way to the client: now what is old may go.
    this.#release();
    this.#pushAll(target);
    this.#wakeAtExpiry();
  }

  /** One pass over the types in order; false when one of them has to wait. */
  #pushAll(target: Snapshot): boolean {
    for (const type of RESOURCE_TYPES) {
      const subscription = this.#subscriptions.get(type);
      if (subscription === undefined) continue;
      const available = subscription.available(target.types[type]);
      if (!isSpeechDue(subscription, available)) continue;
      if (this.#paused || subscription.isOutstanding) return false;
      if ((type === LISTENER || type === ROUTE) && this.#isWarming(target)) return false;
      const next = plan(subscription, available);
      if (next !== undefined) this.#respond(subscription, next);
      // One response does not hold everything: the rest follows when it was answered, and later types after that.
      if (subscription.isDue(available)) return false;
    }
    return true;
  }

  #respond(subscription: Subscription, { version, resources, absent, difference }: Plan): void {
    const { type } = subscription;
    // Counted for people, and not to be guessed: who answers a response has read it.
    const nonce = `${++this.#responses}-${randomUUID()}`;
    const sentAt = this.#options.clock.wallTime();
    subscription.responded(difference, { nonce, version, resources: resources.map(({ name }) => name), sentAt });
    if (type === CLUSTER) this.#clustersSent(subscription, difference);
    if (type === ENDPOINT) this.#warming.warmed(difference.changed);
    const listeners = type === LISTENER ? this.#target?.types[LISTENER].resources : undefined;
    const noService = listeners === undefined ? NONE : withoutService(absent, listeners);
    this.#options.send({ type, version, nonce, resources, absent, noService });
  }

  /**
   * "Warming of Cluster is completed only when a new ClusterLoadAssignment response is supplied by management server even though there
   * is no change in endpoints" (xds_protocol): so the endpoints of what is new or changed are sent after it, in any case.
   */
  #clustersSent({ wildcard }: Subscription, { changed, gone }: Difference): void {
    const endpoints = this.#subscriptions.get(ENDPOINT);
    for (const { name, resource } of changed) {
      const named = endpointsOf(resource);
      if (named !== undefined && endpoints?.sent.has(named)) endpoints.tellAgain(named);
      this.#warming.sent(name, wildcard ? named : undefined);
    }
    for (const name of gone) this.#warming.sent(name, undefined);
  }

  /**
   * "routes are not warmed, i.e., the management plane must ensure that clusters referenced by a route are in place, before pushing
   * the updates for a route" (xds_protocol). A client that already serves gets changed routes only after the endpoints of what they
   * may name; one that has no routes yet has nothing that could break.
   */
  #isWarming(target: Snapshot): boolean {
    const hasRoutes = this.#routing().some(({ sent }) => sent.size > 0);
    const { resources } = target.types[ENDPOINT];
    const until = this.#warming.waitsUntil(this.#options.clock.now(), (name) => hasRoutes && resources.has(name));
    if (until !== undefined) this.#wakeAt(until);
    return until !== undefined;
  }

  #holds(): boolean {
    for (const { held } of this.#subscriptions.values()) if (held.size > 0) return true;
    return false;
  }

  /**
   * Until it has the new routes, a client needs what the old ones name; one that refused them goes on with the old ones. A client that
   * asks by name tells when it has switched: it changes over only when everything new has arrived (gRFC A74).
   */
  #release(): void {
    const now = this.#options.clock.now();
    const applied = this.#routesApplied();
    const expiredAt = this.#routesRefused() ? undefined : now;
    for (const subscription of this.#subscriptions.values()) {
      subscription.held.startBound(now, this.#options.holdMs);
      const { wildcard, names } = subscription;
      subscription.release(wildcard ? () => !applied : (name) => names.has(name), expiredAt);
    }
  }

  /** Listeners and routes were accepted, and no route that is gone is still asked for. */
  #routesApplied(): boolean {
    return this.#routing().every(
      ({ isOutstanding, refused, held }) => !isOutstanding && refused.size + held.size === 0,
    );
  }

  #routesRefused(): boolean {
    return this.#routing().some(({ refused }) => refused.size > 0);
  }

  /** What decides which clusters the client uses. */
  #routing(): Subscription[] {
    return [LISTENER, ROUTE].flatMap((type) => this.#subscriptions.get(type as ResourceType) ?? []);
  }

  #wakeAtExpiry(): void {
    if (this.#routesRefused()) return;
    const expiries = [...this.#subscriptions.values()].flatMap(({ held }) => held.nextExpiry() ?? []);
    if (expiries.length > 0) this.#wakeAt(Math.min(...expiries));
  }

  #wakeAt(at: number): void {
    const { clock } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(at - clock.now(), () => this.#advance(), { background: true });
  }
}

const NONE: ReadonlyMap<string, string> = new Map();
/** Of one response: a client is one server, or a few. */
const MAX_EXPLAINED = 10;

function withoutService(
  absent: readonly string[],
  listeners: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of absent) {
    if (found.size === MAX_EXPLAINED) break;
    const said = noService(name, listeners);
    if (said !== undefined) found.set(name, said);
  }
  return found;
}
