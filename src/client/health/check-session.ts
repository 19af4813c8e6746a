import type { Clock } from '../../core/clock.js';
import type { HealthCheckConfig } from '../../core/model/health-check.js';
import type { Random } from '../../core/random.js';
import type { Pace } from './pace.js';
import { type CheckResult, failed, type FailureType, type Probe } from './probe.js';

/** `pending`: no check has ended yet. */
export type CheckState = 'pending' | 'healthy' | 'unhealthy';

/** What came of a check, or of news that a call brought. */
export interface CheckNews {
  readonly before: CheckState;
  readonly state: CheckState;
  readonly result: CheckResult;
}

export interface SessionOwner {
  /** After each check. */
  checked(session: CheckSession, news: CheckNews): void;
  /** Whether any call has been sent to the cluster. */
  hadTraffic(): boolean;
  /** The cluster has so many endpoints that their checks should not come all at once. */
  readonly spread: boolean;
}

export interface SessionEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly pace: Pace;
}

/** One check of one endpoint, again and again: Envoy's `ActiveHealthCheckSession`, with its thresholds and intervals. */
export class CheckSession {
  state: CheckState = 'pending';
  degraded = false;
  /** In a row, while the state is the other one. */
  #passes = 0;
  #failures = 0;
  /** The second check comes at a random time within its interval, so that those of many endpoints spread over it. */
  #spread = true;
  /** The wait between two checks that is under way: what the last one said, and from when to when in monotonic milliseconds. */
  #rest:
    | { readonly passed: boolean; readonly edge: boolean; readonly since: number; readonly until: number }
    | undefined;
  /** What there is to cancel: a wait, a place in the line, or a check with its time limit. */
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(
    readonly config: HealthCheckConfig,
    private readonly probe: Probe,
    private readonly owner: SessionOwner,
    private readonly env: SessionEnv,
  ) {}

  start(): void {
    const { initialJitterMs } = this.config;
    if (initialJitterMs > 0) this.#wait(this.env.random.next() * initialJitterMs);
    else this.#line();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
    this.#cancel = undefined;
    this.probe.close();
  }

  /** A call's reply said that the endpoint is unhealthy (`x-envoy-immediate-health-check-fail`). The next check comes when it would have come. */
  failNow(detail: string): void {
    this.#fail(failed('passive', detail), 'passive', false);
  }

  /**
   * The cluster has its first traffic: a wait as long as `no_traffic_interval` ends when one with traffic would have. (Envoy lets the long one run out,
   * so that an endpoint which falls ill goes unnoticed for the first minute of its calls.)
   */
  trafficBegan(): void {
    const rest = this.#rest;
    if (rest === undefined || this.#closed) return;
    const now = this.env.clock.now();
    const baseMs = this.#interval(rest.passed, rest.edge);
    // Of many, those that are overdue should not come all at once.
    const delayMs = this.owner.spread ? baseMs * this.env.random.next() : this.#jittered(baseMs) - (now - rest.since);
    if (now + delayMs >= rest.until) return;
    this.#cancel?.();
    this.#wait(delayMs);
  }

  #wait(delayMs: number): void {
    if (this.#closed) return;
    // "We force a non-zero final MS, to prevent live lock." - Envoy
    this.#cancel = this.env.clock.after(Math.max(1, delayMs), () => this.#line(), { background: true });
  }

  #line(): void {
    this.#cancel = undefined;
    this.#rest = undefined;
    const leave = this.env.pace.run(() => this.#check());
    // It may have begun at once.
    this.#cancel ??= leave;
  }

  #check(): void {
    let over = false;
    const end = (result: CheckResult): void => {
      if (over) return;
      over = true;
      stopTimer();
      this.#ended(result);
    };
    const { timeoutMs } = this.config;
    const stopTimer = this.env.clock.after(
      timeoutMs,
      () => {
        giveUp();
        end(failed('network_timeout', `no answer within ${timeoutMs} ms`));
      },
      { background: true },
    );
    const giveUp = this.probe.start(end);
    if (over) return;
    this.#cancel = () => {
      over = true;
      stopTimer();
      giveUp();
    };
  }

  #ended(result: CheckResult): void {
    this.#cancel = undefined;
    const edge = result.passed ? this.#pass(result) : this.#fail(result, result.failure, result.retriable);
    const baseMs = this.#interval(result.passed, edge);
    const spread = this.#spread && this.owner.spread;
    this.#spread = false;
    const delayMs = spread ? baseMs * this.env.random.next() : this.#jittered(baseMs);
    const since = this.env.clock.now();
    this.#rest = { passed: result.passed, edge, since, until: since + delayMs };
    this.#wait(delayMs);
  }

  /** Returns whether a change is pending, here and below. */
  #pass(result: CheckResult & { readonly passed: true }): boolean {
    const before = this.state;
    this.#failures = 0;
    // "If this is the first time we ever got a check result on this host, we immediately move it to healthy." - Envoy
    if (before === 'pending' || (before === 'unhealthy' && ++this.#passes >= this.config.healthyThreshold)) {
      this.state = 'healthy';
      this.#passes = 0;
    }
    this.degraded = result.degraded;
    this.owner.checked(this, { before, state: this.state, result });
    return this.state === 'unhealthy';
  }

  #fail(result: CheckResult, failure: FailureType, retriable: boolean): boolean {
    const before = this.state;
    this.#passes = 0;
    // "if a host responds with a code not in expected_statuses or retriable_statuses, this threshold is ignored" - health_check.proto
    const atOnce = (failure === 'active' || failure === 'passive') && !retriable;
    if (before === 'pending' || atOnce || ++this.#failures >= this.config.unhealthyThreshold) {
      this.state = 'unhealthy';
      this.#failures = 0;
    }
    this.owner.checked(this, { before, state: this.state, result });
    return this.state === 'healthy';
  }

  /** "while unhealthy; and for the check that follows a change": Envoy's `HealthCheckerImplBase::interval`. */
  #interval(passed: boolean, edge: boolean): number {
    const { intervalMs, noTrafficIntervalMs, unhealthyIntervalMs, unhealthyEdgeIntervalMs, healthyEdgeIntervalMs } =
      this.config;
    if (!this.owner.hadTraffic()) {
      const healthyMs = passed && !edge ? this.config.noTrafficHealthyIntervalMs : undefined;
      return healthyMs ?? noTrafficIntervalMs ?? intervalMs;
    }
    if (passed) return edge ? (healthyEdgeIntervalMs ?? intervalMs) : intervalMs;
    const unhealthyMs = unhealthyIntervalMs ?? intervalMs;
    return edge ? (unhealthyEdgeIntervalMs ?? unhealthyMs) : unhealthyMs;
  }

  #jittered(baseMs: number): number {
    const { intervalJitterMs, intervalJitterShare } = this.config;
    let delayMs = baseMs;
    if (intervalJitterShare > 0) delayMs += this.env.random.next() * intervalJitterShare * baseMs;
    if (intervalJitterMs > 0) delayMs += this.env.random.next() * intervalJitterMs;
    return delayMs;
  }
}
