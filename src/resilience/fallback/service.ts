import type { Body } from '../../core/body.js';
import type { Call } from '../../core/call.js';
import type { MeshError } from '../../core/errors.js';
import { copyHeaders } from '../../core/headers.js';
import { isIdempotent } from '../../core/idempotency.js';
import type { Reply } from '../../core/reply.js';
import { markAttempt } from '../../core/retry-mark.js';
import type { Service } from '../../core/service.js';
import { type Failure, failedReply } from './failure.js';

/** Keeps what a request body has delivered, so that another attempt can have it (retry's ReplayBody). */
export interface Replay {
  readonly replayable: boolean;
  attempt(): Body;
  freeze(): void;
  thaw(): void;
  commit(): void;
  dispose(reason?: MeshError): void;
}

/** The kind whose answer depends on whose call it is: each target has clusters of its own. */
export interface AskService {
  readonly by: 'service';
  readonly takesTime: true;
  readonly cluster: string;
}

/** Another cluster. */
export interface StandBy {
  readonly statName: string;
  readonly service: Service;
}

export interface ServiceEnv {
  /** The cluster of that name, now or as soon as it is heard of; undefined when there is none. */
  use(cluster: string, call: Call): StandBy | undefined | Promise<StandBy | undefined>;
}

/**
 * One attempt at another cluster, through that one's own limits and breaker. A request that may have done its work already goes there only when doing it
 * twice does no harm, as with retries; and it is marked as a repetition then, so that no service below tries again.
 *
 * No retry budget is asked: budgets keep a failing service from getting a multiple of its load, while the spare gets each request once. One would leave
 * most calls without an answer exactly when the whole destination is lost; what the spare can bear is said by its own limits.
 */
export async function askService(
  cluster: string,
  call: Call,
  failure: Failure,
  replay: Replay | undefined,
  env: ServiceEnv,
): Promise<Reply | undefined> {
  const seen = failure.error?.reached !== 'no';
  if ((seen && !isIdempotent(call)) || (replay !== undefined && !replay.replayable)) return undefined;
  const upstream = await env.use(cluster, call);
  // Who has waited for it may be gone.
  if (upstream === undefined || call.cancellation.cancelled) return undefined;
  const { record } = call;
  const attempt = call.attemptOf(++record.attempts, undefined);
  if (replay !== undefined) attempt.body = replay.attempt();
  if (seen) {
    attempt.headers = copyHeaders(attempt.headers);
    markAttempt(attempt.headers, attempt.protocol, attempt.attempt, Math.max(1, attempt.attempt - 1));
  }
  // What the route chose within the destination means nothing in another.
  attempt.affinity = undefined;
  attempt.strictAffinity = false;
  attempt.subset = undefined;
  const { cluster: ofFailure, endpoint, version } = record;
  record.cluster = upstream.statName;
  call.cancellation.add((reason) => attempt.cancel(reason));
  const reply = await upstream.service(attempt).catch(() => undefined);
  if (reply !== undefined && failedReply(call, reply) === undefined) return reply;
  reply?.body.cancel();
  // The failure stands, and is its own.
  record.cluster = ofFailure;
  record.endpoint = endpoint;
  record.version = version;
  return undefined;
}
