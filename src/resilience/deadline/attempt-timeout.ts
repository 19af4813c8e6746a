import type { Filter } from '../../core/service.js';
import type { DeadlineEnv } from './deadline.js';
import { AttemptTimeoutError, DeadlineExceededError } from './errors.js';
import { idleTimeout } from './idle-timeout.js';

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

/** Limits how long an attempt stands still (Envoy `per_try_idle_timeout`). Below retry as well: until the head of its reply another may follow. */
export const attemptIdleTimeout = (idleMs: number | undefined, env: DeadlineEnv): Filter | undefined =>
  idleTimeout(
    idleMs,
    env,
    (limit) => new AttemptTimeoutError(limit, `nothing moved for ${limit} ms in an attempt (per_try_idle_timeout)`),
  );

/** Limits how long a call stands still, whatever its attempts do (Envoy `RouteAction.idle_timeout`). Above retry. */
export const callIdleTimeout = (idleMs: number | undefined, env: DeadlineEnv): Filter | undefined =>
  idleTimeout(
    idleMs,
    env,
    (limit) => new DeadlineExceededError(`nothing moved for ${limit} ms (idle_timeout)`, 'maybe'),
  );
