import type { Protocol } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { DecodeError, number, shown } from '../core/decode.js';
import type { Meter } from '../core/meter.js';
import { RetryBudget } from '../resilience/retry/budget.js';
import type { InboundContext } from './context.js';
import type { Gate } from './gate.js';
import { type Refusal, TOO_LATE } from './refusal.js';

export interface ExpiredOptions {
  /**
   * `enforce`: 504 or DEADLINE_EXCEEDED in place of the handler. `audit`: only counted, which shows what enforcing would do. `off`: nobody looks.
   * Default `audit`, as Finagle's dark mode.
   */
  readonly mode?: 'audit' | 'enforce' | 'off';
  /** Refused at most, as a share of the requests of `windowMs`, 0 to 1. Default 0.2. */
  readonly maxShare?: number;
  /** Milliseconds, 1_000 to 60_000. Default 10_000. */
  readonly windowMs?: number;
}

/** Finagle DeadlineFilter: `DefaultMaxRejectFraction`, `DefaultRejectPeriod`. */
const DEFAULT_MAX_SHARE = 0.2;
const DEFAULT_WINDOW_MS = 10_000;

const MODES = ['audit', 'enforce', 'off'] as const;

/**
 * Refuses requests whose caller has given up: an answer that nobody waits for is work taken from those who do. Never more than a share of all, so that a
 * caller, or a proxy, which tells nonsense cannot take the service down.
 *
 * Finagle's DeadlineFilter; there a refused request buys no further refusals, so that 0.2 comes to one of six.
 */
export class Expired implements Gate {
  /** Undefined: requests are counted, and served. */
  readonly #budget: RetryBudget | undefined;
  readonly #found = new WeakMap<InboundContext, Protocol>();
  readonly #told: WeakSet<InboundContext>;

  /** Undefined when nobody looks, or nobody would hear of it. Throws DecodeError. */
  static from(
    given: ExpiredOptions['mode'] | ExpiredOptions,
    clock: Clock,
    meter: Meter | undefined,
  ): Expired | undefined {
    const options = typeof given === 'object' ? given : given === undefined ? {} : { mode: given };
    const mode = options.mode ?? 'audit';
    if (!MODES.includes(mode))
      throw new DecodeError('expired.mode', `must be one of ${MODES.join(', ')}, got ${shown(mode)}`);
    const maxShare = number(options.maxShare ?? DEFAULT_MAX_SHARE, 'expired.maxShare', 0, 1);
    const windowMs = number(options.windowMs ?? DEFAULT_WINDOW_MS, 'expired.windowMs', 1_000, 60_000);
    if (mode === 'off' || (mode === 'audit' && meter === undefined)) return undefined;
    const share = { ttlMs: windowMs, minRetriesPerSecond: 0, retryRatio: maxShare };
    return new Expired(clock, meter, mode === 'enforce' ? new RetryBudget(share, clock) : undefined);
  }

  constructor(
    private readonly clock: Clock,
    private readonly meter: Meter | undefined,
    budget: RetryBudget | undefined,
  ) {
    this.#budget = budget;
    this.#told = meter === undefined ? new WeakSet() : toldBy(meter);
  }

  arrived(): void {
    this.#budget?.deposit();
  }

  waited(context: InboundContext, protocol: Protocol): Refusal | undefined {
    return this.refusal(context, protocol);
  }

  refusal(context: InboundContext, protocol: Protocol): Refusal | undefined {
    if (context.deadline > this.clock.now() || this.#found.has(context)) return undefined;
    // Once for each request: one that was let through is not looked at again.
    this.#found.set(context, protocol);
    if (this.#budget?.tryWithdraw() === true) {
      this.#tell(context, protocol, true);
      return TOO_LATE;
    }
    // Another middleware may refuse it yet: what has become of it is told when that is known.
    if (this.meter !== undefined) context.onOver(() => this.#tell(context, protocol, false));
    return undefined;
  }

  handled(context: InboundContext): void {
    const protocol = this.#found.get(context);
    if (protocol !== undefined) this.#tell(context, protocol, false);
  }

  /** A later gate has refused it, for another reason. */
  withdrawn(context: InboundContext): void {
    this.handled(context);
  }

  #tell(context: InboundContext, protocol: Protocol, refused: boolean): void {
    if (this.#told.has(context)) return;
    this.#told.add(context);
    this.meter?.event({ kind: 'deadline:expired', protocol, refused });
  }
}

/** Requests that a mesh was told of, by whichever of its middlewares. */
const told = new WeakMap<Meter, WeakSet<InboundContext>>();

function toldBy(meter: Meter): WeakSet<InboundContext> {
  let requests = told.get(meter);
  if (requests === undefined) {
    requests = new WeakSet();
    told.set(meter, requests);
  }
  return requests;
}
