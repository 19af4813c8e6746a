import pRetry, { AbortError } from 'p-retry';
import type { Call } from '../../core/call.js';
import { discard } from '../../core/discard.js';
import { furthest, isRefusal, MeshError, type Reached, reachedAtLeast, refusedUnseen } from '../../core/errors.js';
import { markAttempt } from '../../core/retry-mark.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { type FailedAttempt, judge, linked, type RetryEnv } from './attempt.js';
import type { RetryPolicy } from './policy.js';
import type { ReplayBody } from './replay.js';
import { Waits } from './wait.js';

export interface Repetition {
  readonly policy: RetryPolicy;
  readonly env: RetryEnv;
  readonly call: Call;
  readonly next: Service;
  /** How the first attempt failed. */
  readonly failure: FailedAttempt;
  /** The request body, when it is a stream. */
  readonly replay: ReplayBody | undefined;
  /** The call is made for a request that is a repetition itself: only what provably reached no server is tried again. */
  readonly forRetry: boolean;
}

/** Makes attempts 2 and on, each after a backoff and a withdrawal from the budget; settles with the last one's outcome. */
export const repeat = (repetition: Repetition): Promise<Reply> => new Repeats(repetition).run();

class Repeats {
  readonly #waits: Waits;
  /** Keys of the endpoints that attempts went to. */
  readonly #tried: string[] = [];
  #last: FailedAttempt;
  /** Attempts made that count: all but transparent ones. */
  #counted = 1;
  /** Attempts that a server may have seen: "not including transparent retries" (gRFC A6). */
  #seen = 0;
  /** The one transparent attempt was made. */
  #transparent = false;
  /** How far any attempt before the one under way got: what went out once may have done its work, whatever became of the others. */
  #reached: Reached = 'no';
  /** One of the cluster's places for retries is held. */
  #place = false;
  /** What the attempt under way, or the next, was withdrawn from; undefined: it is free. */
  #paid: { readonly budget: RetryEnv['budget']; readonly at: number } | undefined;

  constructor(private readonly repetition: Repetition) {
    const { policy, call, env, failure } = repetition;
    this.#waits = new Waits(policy, call.protocol, env);
    this.#last = failure;
  }

  run(): Promise<Reply> {
    const { policy, replay } = this.repetition;
    return this.#turn()
      .then(() =>
        pRetry((number) => this.#attempt(number + 1), {
          // One more than the policy says, for a transparent one; `#turn` counts.
          retries: policy.maxRetries,
          minTimeout: 0,
          // Ours waits, on the injected clock, and asks the budget.
          onFailedAttempt: () => this.#turn(),
        }),
      )
      .catch((error: unknown) => {
        if (error !== this.#last) throw this.#told(error);
        const { reply } = this.#last;
        if (reply === undefined) throw this.#told(this.#last.error);
        replay?.thaw();
        return reply;
      });
  }

  /** What the caller is told of the last attempt, whose `reached` is that of the whole call. */
  #told(error: unknown): unknown {
    return error instanceof MeshError ? reachedAtLeast(error, this.#reached) : error;
  }

  /** Waits for the turn of the next attempt; rejects with what stands when there is none. */
  async #turn(): Promise<void> {
    const { env, call } = this.repetition;
    const last = this.#last;
    const reached = last.error?.reached ?? 'yes';
    this.#reached = furthest(this.#reached, reached);
    if (reached !== 'no') this.#seen++;
    if (call.record.endpoint !== undefined) this.#tried.push(call.record.endpoint);
    const transparent = !this.#transparent && last.error !== undefined && refusedUnseen(last.error);
    const delayMs = transparent ? 0 : this.#delay(last);
    if (delayMs === undefined) throw last;
    env.meter.event({ kind: 'retry', cluster: env.cluster, reason: last.condition });
    discard(last.reply?.body, env.clock);
    if (transparent) {
      this.#transparent = true;
      this.#paid = undefined;
      return;
    }
    this.#counted++;
    try {
      await pause(call, env, delayMs);
    } catch (reason) {
      this.#givePlace();
      throw reason;
    }
  }

  async #attempt(number: number): Promise<Reply> {
    const { policy, call, next, replay } = this.repetition;
    call.record.attempts = number;
    // What the attempt before raised is not the call's any more (Envoy).
    call.record.flags = undefined;
    // "Absent: other endpoints first"; Envoy's own default is any.
    const again = linked(call, number, policy.hostSelection?.avoidPrevious === false ? undefined : this.#tried);
    again.redraws = policy.hostSelection?.maxAttempts;
    if (replay !== undefined) again.body = replay.attempt();
    markAttempt(again.headers, call.protocol, number, this.#seen);
    try {
      return await judge(policy, call, next(again), (failed) => {
        replay?.freeze();
        this.#last = failed;
        throw failed;
      });
    } catch (error) {
      // The budget keeps load from servers: an attempt that we refused ourselves was none.
      if (error instanceof MeshError && isRefusal(error)) this.#paid?.budget.refund(this.#paid.at);
      throw error === this.#last ? error : new AbortError(error as Error);
    } finally {
      this.#givePlace();
    }
  }

  /** How long to wait for the next attempt, in milliseconds, when the policy, the server, the deadline, the limits and the budget allow one. */
  #delay(last: FailedAttempt): number | undefined {
    const { policy, env, call, forRetry } = this.repetition;
    if (policy.on.size === 0) return undefined;
    if (forRetry && last.error?.reached !== 'no') return undefined;
    const delayMs = this.#waits.next(last.reply, env.others?.(this.#tried, call) ?? true);
    if (delayMs === undefined) return undefined;
    if (this.#counted > policy.maxRetries) {
      call.record.raise('URX');
      return undefined;
    }
    if (call.cancellation.cancelled || env.clock.now() + delayMs >= Math.min(call.deadline, call.headBy))
      return undefined;
    if (!env.limits.tryRetry(call.priority)) {
      call.record.raise('UO');
      return undefined;
    }
    this.#place = true;
    const { budget } = env;
    this.#paid = env.limits.budgeted === true ? undefined : { budget, at: env.clock.now() };
    if (this.#paid !== undefined && !budget.tryWithdraw()) {
      this.#givePlace();
      call.record.raise('MB');
      env.meter.event({ kind: 'retry:budget-spent', cluster: env.cluster });
      return undefined;
    }
    return delayMs;
  }

  #givePlace(): void {
    if (!this.#place) return;
    this.#place = false;
    const { env, call } = this.repetition;
    env.limits.retryDone(call.priority);
  }
}

/** Waits `delayMs`, or rejects at once when the call is cancelled, or the mesh is closed. */
function pause(call: Call, env: RetryEnv, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const letGo = env.hold?.(call);
    const cancelled = (reason: Error): void => {
      letGo?.();
      stop();
      reject(reason);
    };
    const stop = env.clock.after(delayMs, () => {
      letGo?.();
      call.cancellation.remove(cancelled);
      resolve();
    });
    call.cancellation.add(cancelled);
  });
}
