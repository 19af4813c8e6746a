import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Random } from '../../core/random.js';
import type { Balancer } from '../balancer/balancer.js';
import type { Endpoint } from './endpoint.js';

/** What the last attempt to connect to an endpoint came to. An idle endpoint that was reached before counts as reached. */
export type Reach = 'untried' | 'reached' | 'unreachable';

/** How long those that connect are waited for before the next level serves, in milliseconds: the failover timer of gRFC A56, "10-second". */
export const FAILOVER_MS = 10_000;
/** Between attempts to come back to a level that cannot be reached: 1 s × 1.6 to 120 s, ± 20 % (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

/** Endpoints of one rank, behind one balancer: those of one priority of a cluster. What decides whether calls go here or to a lower level. */
export class Level {
  #endpoints: readonly Endpoint[] = [];
  #reached = 0;
  #unreachable = 0;
  /** Monotonic milliseconds of the first call since the level was last known as reachable; undefined when it is, or nobody has tried. */
  #connectingSince: number | undefined;
  /** Attempts to come back, since the level was last reached; written by `taken` and `moved`. */
  #comebacks = 0;
  #retryAt = 0;

  constructor(
    public balancer: Balancer,
    private readonly random: Random,
  ) {}

  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  /** READY: at least one endpoint can be reached, as far as is known. */
  get ready(): boolean {
    return this.#reached > 0;
  }

  /** Replaces the endpoints, which have their weights. */
  update(endpoints: readonly Endpoint[]): void {
    for (const endpoint of this.#endpoints) if (endpoint.level === this) endpoint.level = undefined;
    this.#endpoints = endpoints;
    this.#reached = 0;
    this.#unreachable = 0;
    for (const endpoint of endpoints) {
      endpoint.level = this;
      if (endpoint.reach === 'reached') this.#reached++;
      else if (endpoint.reach === 'unreachable') this.#unreachable++;
    }
    this.healthChanged();
    if (this.ready) this.#recovered();
    // A newcomer may be what helps: one call looks at once.
    else if (this.#unreachable < endpoints.length) this.#retryAt = 0;
  }

  /** READY, IDLE, or CONNECTING for less than FAILOVER_MS. TRANSIENT_FAILURE, when every endpoint failed, is passed over at once - gRFC A56. */
  usable(now: number): boolean {
    if (this.#reached > 0) return true;
    if (this.#unreachable === this.#endpoints.length) return false;
    return this.#connectingSince === undefined || now - this.#connectingSince <= FAILOVER_MS;
  }

  /** It is time for one call to find out whether a level that is not usable has come back. */
  due(now: number): boolean {
    return this.#endpoints.length > 0 && now >= this.#retryAt;
  }

  /** A call goes to this level now. */
  taken(now: number): void {
    if (this.#reached > 0) return;
    if (this.usable(now)) this.#connectingSince ??= now;
    else if (this.due(now)) this.#backOff(now);
  }

  /** Whether a call that could not be sent to any of `tried` should look on in this level. */
  hasOther(tried: readonly string[], now: number): boolean {
    return this.usable(now) && this.#endpoints.some(({ key }) => !tried.includes(key));
  }

  /** What is known of an endpoint's health has changed: it may be used now, or no more. */
  healthChanged(): void {
    const usable = this.#endpoints.filter(({ health }) => health.verdict !== 'unusable');
    // Where none is usable, nothing is known that helps: then all are used.
    this.balancer.update(usable.length > 0 ? usable : this.#endpoints);
  }

  /** An endpoint of this level has found out. */
  moved(from: Reach, to: Reach, now: number): void {
    if (from === 'reached') this.#reached--;
    else if (from === 'unreachable') this.#unreachable--;
    if (to === 'reached') this.#reached++;
    else if (to === 'unreachable') this.#unreachable++;
    if (this.ready) this.#recovered();
    else if (this.#unreachable === this.#endpoints.length && this.#comebacks === 0) this.#backOff(now);
  }

  #recovered(): void {
    this.#connectingSince = undefined;
    this.#comebacks = 0;
    this.#retryAt = 0;
  }

  #backOff(now: number): void {
    this.#comebacks++;
    this.#retryAt = now + spreadJitter(BACKOFF, this.#comebacks, this.random);
  }
}
