import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import type { Balancer, PickRequest } from '../balancer/balancer.js';
import type { Endpoint } from './endpoint.js';
import { Reconnection } from './reconnection.js';

/** What the last attempt to connect to an endpoint came to. An idle endpoint that was reached before counts as reached. */
export type Reach = 'untried' | 'reached' | 'unreachable';

/** How long those that connect are waited for before the next level serves, in milliseconds: the failover timer of gRFC A56, "10-second". */
export const FAILOVER_MS = 10_000;
/** How often it is asked whether one can be looked at that could not be when it was its turn, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;
/** How many endpoints are looked at in one go, and when the next go may be, in milliseconds: a level of thousands is no storm of connections. */
const LOOKS_AT_ONCE = 64;
const NEXT_GO_MS = 10;

/**
 * Endpoints of one rank, behind one balancer: those of one priority of a cluster that are healthy, or degraded. What decides whether calls go here or
 * to a lower level, and which endpoints the balancer chooses among: those that cannot be reached are left out while there are others.
 */
export class Level {
  /** Nothing is known that helps: healthy or not, all endpoints are here. Written by the priorities, with the list. */
  panic = false;
  #endpoints: readonly Endpoint[] = [];
  #configured: readonly Endpoint[] = [];
  #reached = 0;
  readonly #unreachable = new Set<Endpoint>();
  /** What the balancer has is not what it should have: set by changes, reset by the next pick, so that many changes cost one. */
  #stale = false;
  /** The balancer's list is of endpoints that can be reached, as far as is known. Written with that list. */
  #hasUsable = false;
  /** Monotonic milliseconds at which it is some endpoint's turn to be looked at; Infinity when there is none to look at. */
  #lookAt = Number.POSITIVE_INFINITY;
  /** Monotonic milliseconds of the first call since the level was last known as reachable; undefined when it is, or nobody has tried. */
  #connectingSince: number | undefined;
  /** All endpoints have failed since the level was last known as reachable: newcomers must be reached before calls wait for any. */
  #failedOver = false;

  constructor(
    private balancer: Balancer,
    private readonly random: Random,
    /** An endpoint has been reached that was not known to be: calls that wait may go on. */
    private readonly onReached: () => void,
  ) {}

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

  /** Replaces the endpoints, or says that they weigh something else. `configured`: all of the priority, those that may not be used as well. */
  update(endpoints: readonly Endpoint[], configured: readonly Endpoint[], now: number): void {
    for (const endpoint of this.#endpoints) if (endpoint.level === this) endpoint.level = undefined;
    this.#endpoints = endpoints;
    this.#configured = configured;
    this.#reached = 0;
    this.#unreachable.clear();
    for (const endpoint of endpoints) {
      endpoint.level = this;
      if (endpoint.reach === 'reached') this.#reached++;
      else if (endpoint.reach === 'unreachable') this.#unreachable.add(endpoint);
    }
    this.#refresh();
    if (this.ready) this.#recovered();
    // Whose turn it is the next look finds out; newcomers may be what helps.
    this.#lookAt = this.ready && this.#unreachable.size === 0 ? Number.POSITIVE_INFINITY : now;
  }

  /** Another balancer from now on, among the same endpoints. */
  rebalance(balancer: Balancer): void {
    this.balancer.close();
    this.balancer = balancer;
    this.#refresh();
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
    // The timer is started anew only "if it has previously reported READY or IDLE more recently than TRANSIENT_FAILURE" - gRFC A56.
    if (this.#failedOver || this.allUnreachable) return false;
    return this.#connectingSince === undefined || now - this.#connectingSince <= FAILOVER_MS;
  }

  /** A call goes to this level now. */
  taken(now: number): void {
    if (this.#reached > 0 || this.#connectingSince !== undefined || !this.usable(now)) return;
    this.#connectingSince = now;
    this.#lookNoLaterThan(now + FAILOVER_MS);
  }

  /** Whether a call that goes to this level may go to an endpoint that it has not tried; undefined when there is none for it, by its labels. */
  others(request: PickRequest): boolean | undefined {
    const mine = this.#endpoints.filter((endpoint) => this.balancer.admits(endpoint, request));
    if (mine.length === 0) return undefined;
    return mine.some(
      ({ key, health, reach }) =>
        health.verdict !== 'unusable' && reach !== 'unreachable' && request.tried?.includes(key) !== true,
    );
  }

  /** The balancer's choice for a call that goes to this level. */
  pick(request: PickRequest, clock: Pick<Clock, 'now'>): Endpoint | undefined {
    if (this.#reached === 0) this.taken(clock.now());
    if (this.#stale) this.#refresh();
    if (this.#lookAt !== Number.POSITIVE_INFINITY) this.look(request, clock);
    return this.balancer.pick(request);
  }

  /** For a call that could not be sent to what `pick` gave it: the balancer's choice among those that can be reached, as far as is known. */
  pickUsable(request: PickRequest): Endpoint | undefined {
    if (this.#stale) this.#refresh();
    return this.#hasUsable ? this.balancer.pick(request) : undefined;
  }

  /**
   * Connects, at no call's cost, to those whose turn it is: "fail fast" leaves them out of calls until they are found to be back. The call is one that
   * goes to this level, or past it, as it is not usable: then those that nobody has tried have their turn as well.
   */
  look(request: PickRequest, clock: Pick<Clock, 'now'>): void {
    const now = clock.now();
    if (now < this.#lookAt) return;
    let left = LOOKS_AT_ONCE;
    this.#lookAt = Number.POSITIVE_INFINITY;
    const look = (endpoint: Endpoint): boolean => {
      const may = endpoint.looking === undefined && this.balancer.admits(endpoint, request);
      if (!may || left === 0) {
        this.#lookNoLaterThan(now + (may ? NEXT_GO_MS : LOOK_AGAIN_MS));
        return false;
      }
      left--;
      void endpoint.look(clock);
      return true;
    };
    for (const endpoint of this.#unreachable) {
      if (reconnectionAt(endpoint) <= now && look(endpoint)) endpoint.reconnection?.begin(now);
      if (reconnectionAt(endpoint) > now) this.#lookNoLaterThan(reconnectionAt(endpoint));
    }
    if (this.ready || this.panic) return;
    if (this.usable(now)) this.#lookNoLaterThan((this.#connectingSince ?? now) + FAILOVER_MS);
    else for (const endpoint of this.#endpoints) if (endpoint.reach === 'untried') look(endpoint);
  }

  /** One that nobody has tried yet, else among those that cannot be reached the one found out longest ago; `except` have been tried. */
  lastResort(except: ReadonlySet<Endpoint>): Endpoint | undefined {
    if (!this.ready && !this.allUnreachable) {
      const untried = this.#endpoints.find((endpoint) => endpoint.reach === 'untried' && !except.has(endpoint));
      if (untried !== undefined) return untried;
    }
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
    if (this.#failedOver && to === 'reached') this.#hurry(now);
    if (this.ready) this.#recovered();
    else if (this.allUnreachable) this.#failedOver = true;
    if (to === 'reached') this.onReached();
  }

  /** "fail fast": an endpoint that refused connections gets one look after each back-off (grpc/doc/connection-backoff.md), not every call's. */
  #failed(endpoint: Endpoint, now: number): void {
    endpoint.reconnection ??= new Reconnection(this.random);
    endpoint.reconnection.failed(now);
    this.#lookNoLaterThan(endpoint.reconnection.at);
  }

  /** Gives the balancer those that are READY, as gRPC's pickers have it, or untried; all when there are none. */
  #refresh(): void {
    this.#stale = false;
    const all = this.#endpoints;
    const usable = this.#unreachable.size === 0 ? all : all.filter((endpoint) => !this.#unreachable.has(endpoint));
    this.#hasUsable = usable.length > 0;
    this.balancer.update(this.#hasUsable ? usable : all, this.#configured);
  }

  #lookNoLaterThan(at: number): void {
    if (at < this.#lookAt) this.#lookAt = at;
  }

  /** A level that was gone has one endpoint back: the others most likely are, too, and it should not have to bear the traffic of all until they are. */
  #hurry(now: number): void {
    for (const { reconnection } of this.#unreachable) reconnection?.hurry(now);
    this.#lookAt = now;
  }

  #recovered(): void {
    this.#connectingSince = undefined;
    this.#failedOver = false;
    if (this.#unreachable.size === 0) this.#lookAt = Number.POSITIVE_INFINITY;
  }
}

const reconnectionAt = ({ reconnection }: Endpoint): number => reconnection?.at ?? 0;
