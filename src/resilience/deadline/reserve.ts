import type { Ambient } from '../../core/ambient.js';

/*
 * What a request keeps of its time. A call made while it is served gets what is left less this, so that the answer to a call that took too long is there
 * while somebody still waits for it: otherwise caller and callee give up at the same moment, and the reason, or a fallback, reaches nobody.
 */

/** Of what the request had when it came. */
const RESERVE_SHARE = 0.05;
/** Time left travels in whole milliseconds: with less than one it would not go down at every hop, and a cycle of calls would never end. */
const MIN_RESERVE_MS = 1;
/** A deadline is seen up to 4 ms late (core/deadlines.ts); one more to answer. */
const MAX_RESERVE_MS = 5;

/** How much of `allowedMs` is kept when nobody says: 5 % of 60 ms is 3 ms; of a second it is 5 ms. */
export const defaultReserveMs = (allowedMs: number): number =>
  Math.min(MAX_RESERVE_MS, Math.max(MIN_RESERVE_MS, RESERVE_SHARE * allowedMs));

/** Until when what is done for a request may take, in monotonic milliseconds; Infinity for no limit. `reserveMs` undefined: the default. */
export function workDeadline(context: Ambient, reserveMs: number | undefined): number {
  const { deadline, allowedMs, narrowedTo } = context;
  const reserved = allowedMs === undefined ? deadline : deadline - (reserveMs ?? defaultReserveMs(allowedMs));
  return narrowedTo !== undefined && narrowedTo < reserved ? narrowedTo : reserved;
}
