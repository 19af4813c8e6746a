import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { MeshError } from '../../core/errors.js';
import type { Meter } from '../../core/meter.js';
import type { RetryCondition, RetryConfig } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import type { Reply } from '../../core/reply.js';
import type { Filter, Service } from '../../core/service.js';
import type { RetryBudget } from './budget.js';
import { retriableError, retriableReply } from './conditions.js';
import { ReplayBody } from './replay.js';

export interface RetryEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  /** The destination cluster's name, for events. */
  readonly cluster: string;
  /** Shared by all calls to the cluster. */
  readonly budget: Pick<RetryBudget, 'deposit' | 'tryWithdraw'>;
  /** The cluster's `max_retries`: a place for one retry, or none. `retryDone` gives it back. */
  readonly limits: { tryRetry(): boolean; retryDone(): void };
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

  /** What the caller gets when no attempt follows. */
  settle(): Promise<Reply> {
    return this.reply === undefined ? Promise.reject(this.error) : Promise.resolve(this.reply);
  }
}

/**
 * Tries a call again when that is safe and the budget allows. The decision is made at the reply's head, before any byte is handed on.
 *
 * The first attempt is the call itself, without a loop, a timer or a copy around it: nearly all calls end there. What follows a failure is in
 * `repeat.ts`, loaded with p-retry when the first call fails.
 */
export const retry =
  (config: RetryConfig, env: RetryEnv): Filter =>
  (next) => {
    if (config.on.size === 0 || config.maxRetries === 0) return single(next);
    // A per-try timeout cancels the attempt: it needs a switch of its own. Without one the first attempt shares the call's.
    const ownSwitch = config.perTryTimeoutMs !== undefined;
    return (call) => {
      env.budget.deposit();
      const streaming = call.body !== undefined && !call.body.replayable;
      if (streaming) call.body = new ReplayBody(call.body as NonNullable<Call['body']>);
      const first = ownSwitch ? linked(call, 1, undefined) : call;
      call.attempt = 1;
      call.record.attempts = 1;
      const settling = judge(config, call, next(first), (failure) =>
        import('./repeat.js').then(({ repeat }) => repeat({ config, env, call, next, failure })),
      );
      return streaming ? settled(call, settling) : settling;
    };
  };

const single =
  (next: Service): Service =>
  (call) => {
    call.attempt = 1;
    call.record.attempts = 1;
    return next(call);
  };

/** Passes on what stands; gives to `again` what may be tried again. */
export function judge(
  config: RetryConfig,
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

/** Lets the replay buffer go once it is known that no attempt follows. */
function settled(call: Call, settling: Promise<Reply>): Promise<Reply> {
  const body = call.body as ReplayBody;
  return settling.then(
    (reply) => {
      body.commit();
      return reply;
    },
    (error: unknown) => {
      body.dispose(error instanceof MeshError ? error : undefined);
      throw error;
    },
  );
}
