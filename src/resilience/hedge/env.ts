import type { Call, Priority } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { Deadlines } from '../../core/deadlines.js';
import type { MeshError } from '../../core/errors.js';
import type { Meter } from '../../core/meter.js';
import type { HedgeConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import type { Latencies } from './latencies.js';

/** A share of calls that may be bought as repetitions. */
export interface Allowance {
  deposit(): void;
  tryWithdraw(): boolean;
  /** One that was withdrawn at that time, in monotonic milliseconds, was not sent after all. */
  refund(withdrawnAt: number): void;
}

/** What the retry policy of the route says of attempts. */
export interface Verdicts {
  /** Whether the call may be sent more than once. */
  repeatable(call: Call): boolean;
  /** Whether it may be sent again on another connection when it was lost with a pooled one. */
  resendable(call: Call): boolean;
  /** Why another attempt may do better; undefined: this stands. */
  reply(call: Call, reply: Reply): string | undefined;
  error(call: Call, error: MeshError): string | undefined;
  /** Milliseconds to wait after a failure; undefined: the server forbids another attempt. */
  waits(call: Call): { next(reply: Reply | undefined, others: boolean): number | undefined };
}

export interface HedgeEnv {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly meter: Meter;
  /** The destination cluster's name, for events. */
  readonly cluster: string;
  /** Shared by all calls to the cluster, and by its retries; an update may replace it. */
  readonly budget: Allowance;
  /** `maxExtraLoad` of the calls of this route; `balance`: attempts that it has left. */
  readonly extra: Allowance & { readonly balance: number };
  /** The cluster's `max_retries`; `budgeted`: they go by a budget of their own, and `budget` is not asked. */
  readonly limits: {
    tryRetry(priority: Priority | undefined): boolean;
    retryDone(priority: Priority | undefined): void;
    readonly budgeted?: boolean;
  };
  /** Whether an endpoint can serve the call that is not among these. */
  readonly others: (tried: readonly string[], call: Call) => boolean;
  /** Has the mesh end the call when it closes, though no attempt of it is under way; the result lets go of it. Absent: it waits on. */
  readonly hold?: ((call: Call) => () => void) | undefined;
  readonly verdicts: Verdicts;
  /** Of the destination's first attempts. */
  readonly latencies: Latencies;
  /** The route's `per_try_timeout`, for `onPerTryTimeout`. */
  readonly perTryTimeoutMs: number | undefined;
}

/** How long an attempt has for itself, in milliseconds; undefined: as long as it takes, since too little is known of the destination. */
export function hedgeDelayMs(config: HedgeConfig, env: HedgeEnv): number | undefined {
  // "hedge_on_per_try_timeout": the timeout of one attempt is when the next goes out - Envoy, HedgePolicy.
  if (config.onPerTryTimeout && env.perTryTimeoutMs !== undefined) return env.perTryTimeoutMs;
  return config.delayMs ?? env.latencies.percentile(config.percentile);
}
