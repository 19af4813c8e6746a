import type { Cancellation } from '../../core/cancellation.js';
import type { FaultConfig } from '../../core/model/fault.js';
import type { FaultStatus } from './abort.js';
import { FaultInjectedError } from './errors.js';
import { type Befallen, Fault, type FaultEnv, type FaultRequest } from './fault.js';
import { wholePolicies } from './whole.js';

/** A reply's body that comes slowly, or breaks off. */
export interface BodyFault {
  readonly policy: string;
  /** Undefined: at its own speed. */
  readonly bytesPerSecond: number | undefined;
  /** Undefined: to its end. */
  readonly afterBytes: number | undefined;
  /** Monotonic milliseconds from which on there is none of it any more; Infinity: as long as the body. */
  readonly endsAt: number;
  /** There is a body, and it is at hand: to be called once, or not at all. */
  begun(): void;
  /** It did break off. */
  truncated(): void;
  /** Runs `listener` once when the fault is no more, though the body is not at its end. The result takes it back. */
  onStop(listener: () => void): () => void;
  /** The body is at its end, or nobody wants it. Once. */
  end(): void;
}

/** What becomes of one request. Nothing to do for it unless it says so. */
export interface Fate {
  /** It was held up. */
  readonly delayed: boolean;
  /** It is answered so in place of being sent on, or handled. */
  readonly ending: FaultInjectedError | FaultStatus | undefined;
  /** Of the reply to it, each in turn. Every one is told its `end`. */
  readonly bodies: readonly BodyFault[];
}

/** The faults of one route, for requests that leave and for those that come in. Composed when the configuration changes. */
export class FaultInjector {
  readonly #faults: readonly Fault[];

  constructor(
    configs: readonly FaultConfig[],
    private readonly env: FaultEnv,
  ) {
    this.#faults = wholePolicies(configs).map((config) => new Fault(config, env));
  }

  /** Whether any of its experiments goes on: then `ended` is to be told of every request. */
  get measures(): boolean {
    return this.#faults.some(({ experiment }) => experiment !== undefined && !experiment.stopped);
  }

  /**
   * A request of the route has ended. `success` as its caller sees it; undefined says nothing, because the caller gave up. Not of a request that ended while it
   * was held up: that is counted here.
   */
  ended(success: boolean | undefined, durationMs: number): void {
    if (success === undefined) return;
    const now = this.env.clock.now();
    for (const experiment of new Set(this.#faults.map((fault) => fault.experiment))) {
      experiment?.ended(success, durationMs, now, this.env);
    }
  }

  /**
   * What befalls a request, policy by policy; undefined: nothing. Resolves when its delays are over; rejects with the reason of `cancellation` when it is
   * given up meanwhile. Such a request counts as failed, and for as long as it was to be held up at least: who left because of the delay tells what it does.
   */
  meet(request: FaultRequest, cancellation: Cancellation | undefined): Fate | undefined | Promise<Fate | undefined> {
    return this.#from(0, request, cancellation, { delayedMs: 0, bodies: [] });
  }

  #from(
    start: number,
    request: FaultRequest,
    cancellation: Cancellation | undefined,
    soFar: { readonly delayedMs: number; readonly bodies: readonly BodyFault[] },
  ): Fate | undefined | Promise<Fate | undefined> {
    let { bodies } = soFar;
    for (let i = start; i < this.#faults.length; i++) {
      const fault = this.#faults[i] as Fault;
      const befallen = fault.befall(request);
      if (befallen === undefined) continue;
      if (befallen.delayMs > 0) {
        const delayedMs = soFar.delayedMs + befallen.delayMs;
        return fault.wait(befallen.delayMs, cancellation).then(
          () => {
            const after = strike(fault, befallen);
            if ('ending' in after) return ended(after.ending, true, bodies);
            return this.#from(i + 1, request, cancellation, { delayedMs, bodies: [...bodies, ...after.bodies] });
          },
          (reason: unknown) => {
            fault.end();
            for (const body of bodies) body.end();
            this.ended(false, delayedMs);
            throw reason;
          },
        );
      }
      const after = strike(fault, befallen);
      if ('ending' in after) return ended(after.ending, soFar.delayedMs > 0, bodies);
      bodies = [...bodies, ...after.bodies];
    }
    const delayed = soFar.delayedMs > 0;
    if (!delayed && bodies.length === 0) return undefined;
    return { delayed, ending: undefined, bodies };
  }
}

function ended(ending: Fate['ending'], delayed: boolean, bodies: readonly BodyFault[]): Fate {
  for (const body of bodies) body.end();
  return { delayed, ending, bodies: [] };
}

/** What a policy does once its delay is over: "the delay injection is considered finished after the delay is finished" - gRFC A33. */
function strike(
  fault: Fault,
  { ending, bytesPerSecond, afterBytes }: Befallen,
): { readonly ending: FaultInjectedError | FaultStatus } | { readonly bodies: readonly BodyFault[] } {
  // It may have been stopped meanwhile.
  const on = fault.running;
  if (on && ending !== undefined) {
    fault.tell(ending === 'reset' ? 'reset' : 'abort');
    fault.end();
    return { ending: ending === 'reset' ? new FaultInjectedError(fault.policy, 'reset') : ending };
  }
  if (!on || (bytesPerSecond === undefined && afterBytes === undefined)) {
    fault.end();
    return { bodies: [] };
  }
  return { bodies: [bodyFault(fault, bytesPerSecond, afterBytes)] };
}

function bodyFault(fault: Fault, bytesPerSecond: number | undefined, afterBytes: number | undefined): BodyFault {
  return {
    policy: fault.policy,
    bytesPerSecond,
    afterBytes,
    endsAt: fault.experiment?.endsAt ?? Number.POSITIVE_INFINITY,
    begun: () => {
      if (bytesPerSecond !== undefined) fault.tell('throttle');
    },
    truncated: () => fault.tell('truncate'),
    onStop: (listener) => fault.onStop(listener),
    end: () => fault.end(),
  };
}
