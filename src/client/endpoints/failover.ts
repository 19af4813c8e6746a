import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';
import type { PickRequest } from '../balancer/balancer.js';
import { NoEndpointError } from './errors.js';
import { mayMove, neverLeft } from './unsent.js';

/** One of several that could serve a call: a priority of a cluster, or a leaf of an aggregate. */
export interface Rank {
  usable(now: number): boolean;
  /** The call goes past it, as it is not usable: it finds out whether it has come back, if it is time to. */
  look(request: PickRequest, clock: Pick<Clock, 'now'>): void;
}

/**
 * The one that serves, in the order of gRFC A56: the first that can be used; those above it find out by themselves whether they have come back. When
 * there is none, each is a last resort in its turn, the highest first: where nobody can serve there is nothing to protect. `left` are those that this
 * attempt has left.
 */
export function choose<R extends Rank>(
  ranks: readonly R[],
  request: PickRequest,
  clock: Pick<Clock, 'now'>,
  left?: ReadonlySet<R>,
): R | undefined {
  const now = clock.now();
  for (const rank of ranks) {
    if (left?.has(rank) === true) continue;
    if (rank.usable(now)) return rank;
    rank.look(request, clock);
  }
  for (const rank of ranks) if (left?.has(rank) !== true) return rank;
  return undefined;
}

/**
 * Sends one attempt to the leaf of an aggregate that can serve it. A call that could not be sent to any endpoint of a leaf goes on to the next
 * one: gRPC would have held it back until one was READY, so that it costs no retry.
 */
export function serveByRank<R extends Rank>(
  /** At least one. */
  ranks: readonly R[],
  clock: Clock,
  call: Call,
  attempt: (rank: R) => Promise<Reply>,
  /** The one that goes before all others, whatever their order. */
  home?: R | undefined,
): Promise<Reply> {
  let left: Set<R> | undefined;
  const go = (rank: R): Promise<Reply> =>
    attempt(rank).catch((error: unknown) => {
      if (!couldNotBeSent(error) || !mayMove(call)) throw error;
      left ??= new Set();
      left.add(rank);
      const next = choose(ranks, call, clock, left);
      if (next === undefined) throw error;
      return go(next);
    });
  return go(home ?? (choose(ranks, call, clock) as R));
}

/** No connection, or nobody to connect to. Not when we refused it: a full cluster is no reason to load another (gRFC A32). */
function couldNotBeSent(error: unknown): boolean {
  return error instanceof NoEndpointError || (error instanceof MeshError && neverLeft(error));
}
