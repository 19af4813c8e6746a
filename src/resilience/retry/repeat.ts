import pRetry, { AbortError } from 'p-retry';
import type { Body } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { RetryConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import type { Service } from '../../core/service.js';
import { CancelledError } from '../../core/errors.js';
import { FailedAttempt, judge, linked, type RetryEnv } from './attempt.js';
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
}

/** On later attempts over HTTP always; on all of them where the first has it (`include_request_attempt_count`). */
const ATTEMPT_COUNT = 'x-envoy-attempt-count';

/** Makes attempts 2 and on, each after a backoff and a withdrawal from the budget; settles with the last one's outcome. */
export function repeat({ policy, env, call, next, failure, replay }: Repetition): Promise<Reply> {
  // "Absent: other endpoints first"; Envoy's own default is any.
  const tried: string[] | undefined = policy.hostSelection?.avoidPrevious === false ? undefined : [];
  const waits = new Waits(policy, call.protocol, env);
  let last = failure;
  /** Attempts that a server may have seen: "not including transparent retries" (gRFC A6). */
  let seen = 0;
  /** Waits for the turn of attempt `number`; rejects with `last` when there is none. */
  const turn = async (number: number): Promise<void> => {
    const delayMs = waits.next(last.reply);
    if (last.error?.reached !== 'no') seen++;
    if (delayMs === undefined || !permitted(policy, env, call, number, delayMs)) throw last;
    if (call.record.endpoint !== undefined) tried?.push(call.record.endpoint);
    env.meter.event({ kind: 'retry', cluster: env.cluster, reason: last.condition });
    discard(last.reply?.body, env);
    try {
      await pause(call, env, delayMs);
    } catch (reason) {
      env.limits.retryDone();
      throw reason;
    }
  };
  const attempt = async (number: number): Promise<Reply> => {
    call.record.attempts = number;
    // What the attempt before raised is not the call's any more (Envoy).
    call.record.flags = undefined;
    const again = linked(call, number, tried);
    if (replay !== undefined) again.body = replay.attempt();
    // "grpc-previous-rpc-attempts" - gRFC A6; Envoy's header says the same to everybody else.
    if (call.protocol === 'grpc') {
      if (seen > 0) again.headers['grpc-previous-rpc-attempts'] = String(seen);
    }
    if (call.protocol === 'http' || again.headers[ATTEMPT_COUNT] !== undefined) {
      again.headers[ATTEMPT_COUNT] = String(number);
    }
    try {
      return await judge(policy, call, next(again), (failed) => {
        replay?.freeze();
        last = failed;
        throw failed;
      });
    } catch (error) {
      throw error === last ? error : new AbortError(error as Error);
    } finally {
      env.limits.retryDone();
    }
  };
  return turn(2)
    .then(() =>
      pRetry((repetition) => attempt(repetition + 1), {
        retries: policy.maxRetries - 1,
        minTimeout: 0,
        // Ours waits, on the injected clock, and asks the budget.
        onFailedAttempt: ({ attemptNumber }) => turn(attemptNumber + 2),
      }),
    )
    .catch((error: unknown) => {
      if (!(error instanceof FailedAttempt)) throw error;
      if (error.reply !== undefined) replay?.thaw();
      return error.settle();
    });
}

/** Whether the policy, the deadline, `max_retries` and the budget allow attempt `number` after `delayMs`. Takes a place when they do. */
function permitted(config: RetryConfig, env: RetryEnv, call: Call, number: number, delayMs: number): boolean {
  if (number > config.maxRetries + 1) {
    call.record.raise('URX');
    return false;
  }
  if (call.cancellation.cancelled || env.clock.now() + delayMs >= call.deadline) return false;
  if (!env.limits.tryRetry()) {
    call.record.raise('UO');
    return false;
  }
  if (!env.budget.tryWithdraw()) {
    env.limits.retryDone();
    call.record.raise('MB');
    env.meter.event({ kind: 'retry:budget-spent', cluster: env.cluster });
    return false;
  }
  return true;
}

/** Waits `delayMs`, or rejects at once when the call is cancelled. */
function pause(call: Call, env: RetryEnv, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancelled = (reason: Error): void => {
      stop();
      reject(reason);
    };
    const stop = env.clock.after(delayMs, () => {
      call.cancellation.remove(cancelled);
      resolve();
    });
    call.cancellation.add(cancelled);
  });
}

/** Replies that nobody will read are read to their end, so that an HTTP/1.1 connection can serve again; what is long or slow is cut. */
const DISCARD_LIMIT_BYTES = 65_536;
const DISCARD_LIMIT_MS = 100;

function discard(body: Body | undefined, env: RetryEnv): void {
  if (body === undefined) return;
  const cut = (): void => body.cancel(new CancelledError('a reply that another attempt replaces was cut off', 'yes'));
  const stop = env.clock.after(DISCARD_LIMIT_MS, cut, { background: true });
  let left = DISCARD_LIMIT_BYTES;
  body.pipe({
    write(chunk) {
      left -= chunk.byteLength;
      if (left < 0) cut();
      return left >= 0;
    },
    end: stop,
    fail: stop,
  });
}
