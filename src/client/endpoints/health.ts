import type { HealthStatus } from '../../core/model/endpoint.js';

/** `degraded`: used when there are too few that are usable. `unusable`: in panic only. */
export type Verdict = 'usable' | 'degraded' | 'unusable';

/**
 * What is known of an endpoint's health, from all who look: outlier detection, active checks, the endpoint itself (gRFC A17), and configuration. Each
 * writes its own part; all must agree for it to be used.
 */
export class EndpointHealth {
  #ejected = false;
  #check: boolean | 'degraded' | undefined;
  #watch: boolean | undefined;
  #verdict: Verdict = 'usable';
  /** Monotonic milliseconds since when it is usable: slow start counts from here. */
  usableSince: number;

  constructor(
    private configured: HealthStatus,
    now: number,
    /** Told when the verdict is another one than before. */
    private readonly owner: { readonly onHealthChange?: (() => void) | undefined },
  ) {
    this.usableSince = now;
    this.#verdict = this.#judge();
  }

  get verdict(): Verdict {
    return this.#verdict;
  }

  /** Written by outlier detection. */
  get ejected(): boolean {
    return this.#ejected;
  }

  /** Somebody has found it to be no good, whatever is configured of it. */
  get refused(): boolean {
    return this.#ejected || this.#check === false || this.#watch === false;
  }

  eject(now: number): void {
    this.#ejected = true;
    this.#settle(now);
  }

  uneject(now: number): void {
    this.#ejected = false;
    this.#settle(now);
  }

  /**
   * Written by active checks: true passes, false fails, `degraded` passes and says that others are better (`x-envoy-degraded`), undefined when it is not
   * checked, or nothing is known yet.
   */
  checked(result: boolean | 'degraded' | undefined, now: number): void {
    this.#check = result;
    this.#settle(now);
  }

  /** Written by the health watch; undefined when the endpoint is not asked. */
  watched(serving: boolean | undefined, now: number): void {
    this.#watch = serving;
    this.#settle(now);
  }

  /** Nobody looks any more: what is configured remains. */
  forget(now: number): void {
    this.#ejected = false;
    this.#check = undefined;
    this.#watch = undefined;
    this.#settle(now);
  }

  configure(status: HealthStatus, now: number): void {
    this.configured = status;
    this.#settle(now);
  }

  #settle(now: number): void {
    const before = this.#verdict;
    this.#verdict = this.#judge();
    if (this.#verdict === before) return;
    if (before === 'unusable') this.usableSince = now;
    this.owner.onHealthChange?.();
  }

  #judge(): Verdict {
    if (this.refused || this.configured === 'unhealthy') return 'unusable';
    return this.configured === 'degraded' || this.#check === 'degraded' ? 'degraded' : 'usable';
  }
}
