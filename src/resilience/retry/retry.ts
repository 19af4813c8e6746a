import { ambient } from '../../core/ambient.js';
import { BytesBody } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import { MeshError } from '../../core/errors.js';
import type { RetryConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import { isRetried, RETRY_MARK } from '../../core/retry-mark.js';
import type { Filter } from '../../core/service.js';
import { judge, linked, type RetryEnv } from './attempt.js';
import { resends } from './conditions.js';
import { compilePolicy } from './policy.js';
import { ReplayBody } from './replay.js';

/**
 * Tries a call again when that is safe and the budget allows. The decision is made at the reply's head, before any byte is handed on.
 *
 * The first attempt is the call itself, without a loop, a timer or a copy around it: nearly all calls end there. What follows a failure is in
 * `repeat.ts`, loaded with p-retry when the first call fails.
 */
export const retry =
  (config: RetryConfig, env: RetryEnv): Filter =>
  (next) => {
    const never = config.on.size === 0 || config.maxRetries === 0;
    const policy = compilePolicy(never ? { ...config, on: NOTHING } : config, env.headers);
    // A limit of one attempt cancels the attempt: it needs a switch of its own. Without one the first attempt shares the call's.
    const ownSwitch = config.perTryTimeoutMs !== undefined || config.perTryIdleTimeoutMs !== undefined;
    return (call) => {
      const forRetry = isForRetry(call);
      if (forRetry) call.headers[RETRY_MARK] = '1';
      else if (config.regardlessOfMethod) call.resendable = resends(policy, call);
      env.budget.deposit();
      // Any other body has one reader at a time, and an attempt that is over may still let go of it.
      const replay =
        never || call.body === undefined || call.body instanceof BytesBody ? undefined : new ReplayBody(call.body);
      if (replay !== undefined) call.body = replay.attempt();
      const first = ownSwitch ? linked(call, 1, undefined) : call;
      call.attempt = 1;
      call.record.attempts = 1;
      const settling = judge(policy, call, next(first), (failure) => {
        replay?.freeze();
        return import('./repeat.js').then(({ repeat }) =>
          repeat({ policy, env, call, next, failure, replay, forRetry }),
        );
      });
      return replay === undefined ? settling : settled(replay, settling);
    };
  };

const NOTHING: RetryConfig['on'] = new Set();

/** Whether it is made for a request that is itself a repetition: the one being served, or the one that a proxy passes on. */
export const isForRetry = (call: Call): boolean =>
  ambient()?.retried === true ||
  call.headers[RETRY_MARK] !== undefined ||
  (call.downstream !== undefined && isRetried(call.headers));

/** Lets the replay buffer go once it is known that no attempt follows. */
function settled(body: ReplayBody, settling: Promise<Reply>): Promise<Reply> {
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
