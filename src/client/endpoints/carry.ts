import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { MeshError } from '../../core/errors.js';
import { PRIORITY_HEADER, TIMEOUT_HEADER } from '../../core/mesh-headers.js';
import type { Filter } from '../../core/service.js';
import { DeadlineExceededError } from '../../resilience/deadline/errors.js';
import { writeGrpcTimeout } from '../grpc/timeout.js';

/** Tells the server how long we still wait, and how important the call is. One whose time is up already is not sent. */
export const carryDeadline =
  (env: { readonly clock: Clock }): Filter =>
  (next) =>
  (call) => {
    if (call.priority !== undefined) call.headers[PRIORITY_HEADER] = call.priority;
    const late = setOff(call, env.clock);
    return late === undefined ? next(call) : Promise.reject(late);
  };

/**
 * For a call that is about to be sent, again after each wait: writes what is left, so that no server believes it has time that was spent in a line
 * here; or says that there is nothing left. Deadlines fire up to 4 ms late (core/deadlines.ts): a call may come so far though its own has passed.
 */
export function setOff(call: Call, clock: Clock): MeshError | undefined {
  if (call.deadline === Number.POSITIVE_INFINITY) return undefined;
  const now = clock.now();
  if (call.deadline <= now)
    return new DeadlineExceededError('the deadline passed while the call waited to be sent', 'no');
  tellDeadline(call, now);
  return undefined;
}

/** What is left at `now` of a deadline that there is: `grpc-timeout`; our own field and Envoy's over HTTP. */
export function tellDeadline(call: Call, now: number): void {
  if (call.protocol === 'grpc') {
    writeGrpcTimeout(call, now);
    return;
  }
  const left = String(Math.max(0, Math.ceil(call.deadline - now)));
  call.headers[TIMEOUT_HEADER] = left;
  call.headers['x-envoy-expected-rq-timeout-ms'] = left;
}
