import type { Call, Priority } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { MeshError } from '../../core/errors.js';
import type { Meter } from '../../core/meter.js';
import type { RetryCondition } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import type { Reply } from '../../core/reply.js';
import type { RetryBudget } from './budget.js';
import { retriableError, retriableReply } from './conditions.js';
import type { HeaderTests, RetryPolicy } from './policy.js';

export interface RetryEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  /** The destination cluster's name, for events. */
  readonly cluster: string;
  /** Shared by all calls to the cluster; an update may replace it. */
  readonly budget: Pick<RetryBudget, 'deposit' | 'tryWithdraw' | 'refund'>;
  /**
   * The cluster's `max_retries`: a place for one retry, or none. `retryDone` gives it back. `budgeted`: it goes by a budget of its own (Envoy's
   * `retry_budget`), and `budget` is not asked.
   */
  readonly limits: {
    tryRetry(priority: Priority | undefined): boolean;
    retryDone(priority: Priority | undefined): void;
    readonly budgeted?: boolean;
  };
  /** Whether an endpoint can serve the call that is not among these. Absent: there is one. */
  readonly others?: ((tried: readonly string[], call: Call) => boolean) | undefined;
  /** Has the mesh end a call that waits for its next attempt when it closes; the result lets go of it. Absent: it waits on. */
  readonly hold?: ((call: Call) => () => void) | undefined;
  readonly headers: HeaderTests;
}

/** An attempt that may be followed by another: with the reply that stands if none is, or the error. */
export class FailedAttempt extends Error {
  constructor(
    readonly condition: RetryCondition,
    readonly reply: Reply | undefined,
    readonly error: MeshError | undefined,
  ) {
    super(condition, { cause: error });
  }
}

/** Passes on what stands; gives to `again` what may be tried again. */
export function judge(
  config: RetryPolicy,
  call: Call,
  attempt: Promise<Reply>,
  again: (failure: FailedAttempt) => Promise<Reply>,
): Promise<Reply> {
  return attempt.then(
    (reply) => {
      const condition = retriableReply(config, call, reply);
      return condition === undefined || !replayable(call)
        ? reply
        : again(new FailedAttempt(condition, reply, undefined));
    },
    (error: unknown) => {
      if (!(error instanceof MeshError)) throw error;
      const condition = retriableError(config, call, error);
      if (condition === undefined || !replayable(call)) throw error;
      return again(new FailedAttempt(condition, undefined, error));
    },
  );
}

const replayable = (call: Call): boolean => call.body === undefined || call.body.replayable;

/** Attempt `number` with a switch of its own that follows the call's. */
export function linked(call: Call, number: number, tried: readonly string[] | undefined): Call {
  const attempt = call.attemptOf(number, tried);
  call.cancellation.add((reason) => attempt.cancel(reason));
  return attempt;
}
