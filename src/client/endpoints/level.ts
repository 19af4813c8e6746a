import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import type { Balancer, PickRequest } from '../balancer/balancer.js';
import type { Endpoint } from './endpoint.js';
import { Reconnection } from './reconnection.js';

/** What the last attempt to connect to an endpoint came to. An idle endpoint that was reached before counts as reached. */
export type Reach = 'untried' | 'reached' | 'unreachable';

/** How long those that connect are waited for before the next level serves, in milliseconds: the failover timer of gRFC A56, "10-second". */
export const FAILOVER_MS = 10_000;
/** How often an endpoint that a call looks at is asked about whether that call is done, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Endpoints of one rank, behind one balancer: those of one priority of a cluster that are healthy, or degraded. What decides whether calls go here or
 * to a lower level, and which endpoints the balancer chooses among: those that cannot be reached are left out while there are others.
 */
export class Level {
  /** Nothing is known that helps: healthy or not, all endpoints are here. Written by the priorities, with the list. */
  panic = false;
  #endpoints: readonly Endpoint[] = [];
  #reached = 0;
  readonly #unreachable = new Set<Endpoint>();
  /** What the balancer has is not what it should have: set by changes, reset by the next pick, so that many changes cost one. */
  #stale = false;
  /** The balancer's list is of endpoints that can be reached, as far as is known. Written with that list. */
  #hasUsable = false;
  /** Monotonic milliseconds at which one of those left out is to be looked at; Infinity when none is left out. */
  #probeAt = Number.POSITIVE_INFINITY;
  /** Monotonic milliseconds of the first call since the level was last known as reachable; undefined when it is, or nobody has tried. */
  #connectingSince: number | undefined;
  /** Of the level as a whole, while it has no endpoint that can be reached and lower levels serve. */
  readonly #comeback: Reconnection;

  constructor(
    private balancer: Balancer,
    private readonly random: Random,
    /** An endpoint has been reached that was not known to be: calls that wait may go on. */
    private readonly onReached: () => void,
  ) {
    this.#comeback = new Reconnection(random);
  }

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** READY: at least one endpoint can be reached, as far as is known. */
  get ready(): boolean {
    return this.#reached > 0;
  }

  get allUnreachable(): boolean {
    return this.#unreachable.size === this.#endpoints.length;
  }

  /** Replaces the endpoints, or says that they weigh something else. */
  update(endpoints: readonly Endpoint[], now: number): void {
    for (const endpoint of this.#endpoints) if (endpoint.level === this) endpoint.level = undefined;
    this.#endpoints = endpoints;
    this.#reached = 0;
    this.#unreachable.clear();
    for (const endpoint of endpoints) {
      endpoint.level = this;
      if (endpoint.reach === 'reached') this.#reached++;
      else if (endpoint.reach === 'unreachable') this.#unreachable.add(endpoint);
    }
    this.#refresh(now);
    if (this.ready) this.#recovered();
    // A newcomer may be what helps: one call looks at once.
    else if (!this.allUnreachable) this.#comeback.hurry();
  }

  /** Another balancer from now on, among the same endpoints. */
  rebalance(balancer: Balancer, now: number): void {
    this.balancer.close();
    this.balancer = balancer;
    this.#refresh(now);
  }

  /** It has no endpoints any more and is not used again. */
  close(): void {
    for (const endpoint of this.#endpoints) if (endpoint.level === this) endpoint.level = undefined;
    this.#endpoints = [];
    this.balancer.close();
  }

  /** READY, IDLE, or CONNECTING for less than FAILOVER_MS. TRANSIENT_FAILURE, when every endpoint failed, is passed over at once - gRFC A56. */
  usable(now: number): boolean {
    if (this.panic) return false;
    if (this.#reached > 0) return true;
    if (this.allUnreachable) return false;
    return this.#connectingSince === undefined || now - this.#connectingSince <= FAILOVER_MS;
  }

  /** It is time for one call to find out whether a level that is not usable has come back. */
  due(now: number): boolean {
    return !this.panic && this.#endpoints.length > 0 && this.#comeback.due(now);
  }

  /** A call goes to this level now. */
  taken(now: number): void {
    if (this.#reached > 0) return;
    if (this.usable(now)) this.#connectingSince ??= now;
    else if (this.due(now)) this.#comeback.begin(now);
  }

  /** The endpoint for a call that goes to this level: the balancer's choice, or one whose turn it is to be looked at again. */
  pick(request: PickRequest, clock: Pick<Clock, 'now'>): Endpoint | undefined {
    if (this.#reached === 0) this.taken(clock.now());
    if (this.#stale) this.#refresh(clock.now());
    if (this.#probeAt !== Number.POSITIVE_INFINITY) {
      const now = clock.now();
      const due = now >= this.#probeAt ? this.#probe(now) : undefined;
      if (due !== undefined) return due;
    }
    return this.balancer.pick(request);
  }

  /** For a call that could not be sent to what `pick` gave it: the balancer's choice among those that can be reached, as far as is known. */
  pickUsable(request: PickRequest, now: number): Endpoint | undefined {
    if (this.#stale) this.#refresh(now);
    return this.#hasUsable ? this.balancer.pick(request) : undefined;
  }

  /** Among those that cannot be reached, the one found out longest ago; `except` have been tried. */
  lastResort(except: ReadonlySet<Endpoint>): Endpoint | undefined {
    let oldest: Endpoint | undefined;
    for (const endpoint of this.#unreachable) {
      if (except.has(endpoint)) continue;
      if (oldest === undefined || reconnectionAt(endpoint) < reconnectionAt(oldest)) oldest = endpoint;
    }
    return oldest;
  }

  /** Monotonic milliseconds at which the first of those that cannot be reached may be tried again; Infinity when there is none. */
  get reconnectsAt(): number {
    let first = Number.POSITIVE_INFINITY;
    for (const endpoint of this.#unreachable) first = Math.min(first, reconnectionAt(endpoint));
    return first;
  }

  /** An endpoint of this level has found out whether it can be reached. */
  moved(endpoint: Endpoint, from: Reach, to: Reach, now: number): void {
    if (from === to) {
      if (to === 'unreachable') this.#failed(endpoint, now);
      return;
    }
    if (from === 'reached') this.#reached--;
    else if (from === 'unreachable') this.#unreachable.delete(endpoint);
    if (to === 'reached') {
      this.#reached++;
      endpoint.reconnection = undefined;
    } else if (to === 'unreachable') {
      this.#unreachable.add(endpoint);
      this.#failed(endpoint, now);
    }
    this.#stale ||= from === 'unreachable' || to === 'unreachable';
    if (this.ready) this.#recovered();
    else if (this.allUnreachable && this.#comeback.attempts === 0) this.#comeback.begin(now);
    if (to === 'reached') this.onReached();
  }

  /** "fail fast": an endpoint that refused connections gets one more look after its back-off (grpc/doc/connection-backoff.md), not every call's. */
  #failed(endpoint: Endpoint, now: number): void {
    endpoint.reconnection ??= new Reconnection(this.random);
    endpoint.reconnection.failed(now);
  }

  /** Gives the balancer those that are READY, as gRPC's pickers have it, or untried; all when there are none. */
  #refresh(now: number): void {
    this.#stale = false;
    const all = this.#endpoints;
    const usable = this.#unreachable.size === 0 ? all : all.filter((endpoint) => !this.#unreachable.has(endpoint));
    this.#hasUsable = usable.length > 0;
    this.balancer.update(this.#hasUsable ? usable : all);
    this.#scheduleProbe(now);
  }

  #scheduleProbe(now: number): void {
    this.#probeAt = Number.POSITIVE_INFINITY;
    if (!this.#hasUsable) return;
    for (const endpoint of this.#unreachable) {
      const at = reconnectionAt(endpoint);
      // Somebody looks at it already: it will be heard of, unless he gives up.
      const earliest = endpoint.inflight > 0 ? Math.max(at, now + LOOK_AGAIN_MS) : at;
      if (earliest < this.#probeAt) this.#probeAt = earliest;
    }
  }

  /** One that is due and that nobody looks at already. The others wait for what comes of it. */
  #probe(now: number): Endpoint | undefined {
    let found: Endpoint | undefined;
    for (const endpoint of this.#unreachable) {
      if (endpoint.inflight > 0 || reconnectionAt(endpoint) > now) continue;
      endpoint.reconnection ??= new Reconnection(this.random);
      endpoint.reconnection.begin(now);
      found = endpoint;
      break;
    }
    this.#scheduleProbe(now);
    return found;
  }

  #recovered(): void {
    this.#connectingSince = undefined;
    this.#comeback.reset();
  }
}

const reconnectionAt = ({ reconnection }: Endpoint): number => reconnection?.at ?? 0;
