import type { Call } from '../../core/call.js';
import { failedHead, grpcStatusOf, isCallers } from '../../core/classify.js';
import { isRefusal, MeshError } from '../../core/errors.js';
import type { HedgeConfig } from '../../core/model/route.js';
import type { Reply } from '../../core/reply.js';
import type { Verdicts } from './env.js';

/** How an attempt ended. */
export type Ending =
  | { readonly reply: Reply; readonly error?: undefined }
  | { readonly error: unknown; readonly reply?: undefined };

/** What the end of one attempt means for its call. */
export type Meaning =
  /** The call ends with it: it is the first good answer, or fatal by gRFC A6, or the caller's doing. */
  | 'ends'
  /** It is a failure that a further attempt would meet as well; one that is under way may do better. */
  | 'waits'
  /** We refused the attempt ourselves, which says nothing of those under way; a further one would be refused as well. */
  | 'refused'
  /** A further attempt may do better, for this reason. */
  | { readonly again: string };

/** Reason of attempts that follow one of `nonFatalStatuses`. */
export const NON_FATAL = 'non-fatal';

export function meaningOfReply(config: HedgeConfig, verdicts: Verdicts, call: Call, reply: Reply): Meaning {
  const named = namedStatuses(config, call);
  if (named !== undefined) {
    const status = grpcStatusOf(reply, undefined);
    return status !== undefined && named.has(status) ? { again: NON_FATAL } : 'ends';
  }
  const again = verdicts.reply(call, reply);
  if (again !== undefined) return { again };
  return failedHead(call, reply) ? 'waits' : 'ends';
}

export function meaningOfError(config: HedgeConfig, verdicts: Verdicts, call: Call, error: unknown): Meaning {
  if (!(error instanceof MeshError) || call.cancellation.cancelled || isCallers(error)) return 'ends';
  if (isRefusal(error)) return 'refused';
  const named = namedStatuses(config, call);
  if (named !== undefined) return named.has(error.grpcStatus) ? { again: NON_FATAL } : 'ends';
  const again = verdicts.error(call, error);
  return again === undefined ? 'waits' : { again };
}

/** gRFC A6 `nonFatalStatusCodes`: where they are named, they alone count, and any other status ends the call; else what the retry policy says. */
const namedStatuses = ({ nonFatalStatuses }: HedgeConfig, { protocol }: Call): ReadonlySet<number> | undefined =>
  protocol === 'grpc' ? nonFatalStatuses : undefined;
