import type { Backoff } from '../core/backoff.js';
import { spreadJitter } from '../core/backoff.js';
import type { Clock } from '../core/clock.js';
import type { X509Identity } from '../core/identity.js';
import type { Random } from '../core/random.js';

/** Share of a certificate's lifetime after which a new one is asked for. SPIRE, Istio and Linkerd renew at a half to 0.7. */
export const RENEW_AT = 0.5;
/** So that those who started together do not renew together: up to this share of the lifetime earlier or later. */
export const RENEW_JITTER = 0.01;
/** How often the wall clock is looked at, in milliseconds: it may have been set, or the machine have slept, while the monotonic clock stood still. */
export const CLOCK_CHECK_MS = 60_000;
/** No renewal may take longer, in milliseconds; of short-lived certificates a tenth of the lifetime, a second at least. */
export const RENEWAL_TIMEOUT_MS = 30_000;

/** Between failed attempts, in milliseconds; of short-lived certificates a hundredth to a twentieth of the lifetime. */
const RETRY: Backoff = { baseMs: 1_000, maxMs: 60_000 };
const SHORTEST_RETRY_MS = 50;

export interface RenewalOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Gets a new certificate. `signal`: time is up, or the source closes. */
  readonly renew: (signal: AbortSignal) => Promise<X509Identity>;
  readonly renewed: (identity: X509Identity) => void;
  /** Told of each failed attempt; the next one follows by itself. */
  readonly failed: (error: unknown) => void;
}

/** When a certificate was got, by both clocks, and how long it lasts from then. */
interface Held {
  readonly now: number;
  readonly wall: number;
  readonly renewAfterMs: number;
  readonly lifetimeMs: number;
}

/**
 * Keeps a certificate fresh: asks for a new one at half of its lifetime, and goes on asking until there is one. Time that passes is the longer of what both clocks
 * say, so that neither a machine that slept nor a wall clock that is set back makes it late; a wall clock that is set on makes it early, once.
 */
export class Renewal {
  #held: Held | undefined;
  #failures = 0;
  #cancelTimer: (() => void) | undefined;
  #attempt: AbortController | undefined;
  #closed = false;
  /** Wall time when the monotonic clock was at 0, as it was at the start. */
  readonly #epoch: number;

  constructor(private readonly options: RenewalOptions) {
    const { clock } = options;
    this.#epoch = clock.wallTime() - clock.now();
  }

  /** `identity`: one from before, whose age is what the wall clock says; undefined: there is none, and one is asked for at once. */
  start(identity?: X509Identity): void {
    if (identity === undefined) {
      void this.#renew();
      return;
    }
    const age = Math.max(0, this.options.clock.wallTime() - identity.notBefore);
    this.#hold(Math.max(0, identity.notAfter - identity.notBefore), age);
    this.#schedule();
  }

  /** Asks at once, whatever is due: what one has is not wanted any more, for instance because its root is gone. */
  now(): void {
    if (this.#closed || this.#attempt !== undefined) return;
    this.#cancelTimer?.();
    void this.#renew();
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer?.();
    this.#attempt?.abort(new Error('closed'));
  }

  #hold(lifetimeMs: number, age: number): void {
    const { clock, random } = this.options;
    const share = RENEW_AT + RENEW_JITTER * (2 * random.next() - 1);
    this.#held = {
      now: clock.now(),
      wall: clock.wallTime(),
      renewAfterMs: Math.max(0, lifetimeMs * share - age),
      lifetimeMs,
    };
    this.#failures = 0;
  }

  /**
   * How long a new one lasts: less than it says where its CA dates it back by much, so that half of it would be past its end. What is left is taken by a time that no
   * setting of the wall clock moves; where that makes no sense, one of the two clocks is wrong, and what the certificate says counts.
   */
  #lifetime({ notBefore, notAfter }: X509Identity): number {
    const says = Math.max(0, notAfter - notBefore);
    const left = notAfter - (this.#epoch + this.options.clock.now());
    return left > 0 && left < says ? Math.max(left, says / 10) : says;
  }

  #schedule(): void {
    const held = this.#held;
    if (this.#closed || held === undefined) return;
    const left = held.renewAfterMs - this.#elapsed(held);
    if (left <= 0) {
      void this.#renew();
      return;
    }
    // Whole milliseconds: less than the clock's resolution would never be over.
    this.#after(Math.min(Math.ceil(left), CLOCK_CHECK_MS), () => this.#schedule());
  }

  #elapsed({ now, wall }: Held): number {
    const { clock } = this.options;
    return Math.max(clock.now() - now, clock.wallTime() - wall);
  }

  async #renew(): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const cancelTimeout = this.options.clock.after(
      this.#timeout(),
      () => attempt.abort(new Error(`no answer within ${this.#timeout()} ms`)),
      {
        background: true,
      },
    );
    try {
      const identity = await untilAborted(this.options.renew(attempt.signal), attempt.signal);
      if (this.#closed) return;
      // It is new, whatever the wall clock says: one that is an hour ahead must not make us ask again and again.
      this.#hold(this.#lifetime(identity), 0);
      this.options.renewed(identity);
    } catch (error) {
      if (this.#closed) return;
      this.#failures++;
      this.options.failed(error);
    } finally {
      cancelTimeout();
      this.#attempt = undefined;
    }
    if (this.#failures === 0) this.#schedule();
    else this.#retry();
  }

  #retry(): void {
    if (this.#closed) return;
    const lifetime = this.#held?.lifetimeMs ?? Number.POSITIVE_INFINITY;
    const backoff: Backoff = {
      baseMs: Math.max(SHORTEST_RETRY_MS, Math.min(RETRY.baseMs, lifetime / 100)),
      maxMs: Math.max(SHORTEST_RETRY_MS, Math.min(RETRY.maxMs, lifetime / 20)),
    };
    this.#after(spreadJitter(backoff, this.#failures, this.options.random), () => void this.#renew());
  }

  #timeout(): number {
    const lifetime = this.#held?.lifetimeMs ?? Number.POSITIVE_INFINITY;
    return Math.max(1_000, Math.min(RENEWAL_TIMEOUT_MS, lifetime / 10));
  }

  #after(delayMs: number, task: () => void): void {
    this.#cancelTimer = this.options.clock.after(delayMs, task, { background: true });
  }
}

/** The work, or the reason of the signal when that comes first: who does not listen to a signal cannot hold up what follows. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
