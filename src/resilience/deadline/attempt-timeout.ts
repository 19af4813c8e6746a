import type { Filter } from '../../core/service.js';
import type { DeadlineEnv } from './deadline.js';
import { AttemptTimeoutError } from './errors.js';

/**
 * Limits one attempt, up to the head of its reply (Envoy `per_try_timeout`; Gateway API `timeouts.backendRequest`, GEP-1742). Below retry, so that an
 * attempt that took too long can be followed by another.
 */
export const attemptTimeout = (timeoutMs: number | undefined, env: DeadlineEnv): Filter | undefined =>
  timeoutMs === undefined
    ? undefined
    : (next) => (call) => {
        const entry = env.deadlines.watch(env.clock.now() + timeoutMs, () =>
          call.cancel(new AttemptTimeoutError(timeoutMs)),
        );
        return next(call).then(
          (reply) => {
            entry.stop();
            return reply;
          },
          (error: unknown) => {
            entry.stop();
            throw error;
          },
        );
      };
