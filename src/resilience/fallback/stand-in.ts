import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { discard } from '../../core/discard.js';
import { FALLBACK_HEADER } from '../../core/mesh-headers.js';
import type { Meter } from '../../core/meter.js';
import type { Reply } from '../../core/reply.js';
import { type Failure, isFailure } from './failure.js';
import { HeldReply } from './held-reply.js';
import type { Kind } from './kind.js';
import type { Replay } from './service.js';

export interface StandInEnv {
  readonly clock: Clock;
  readonly meter: Meter;
  /** Has the mesh end the call when it closes, though no attempt of it is under way. The result lets go of it. */
  hold(call: Call): () => void;
}

/** The first answer that one of the kinds has; when none has, what the call came to stands. */
export async function standIn(
  kinds: readonly Kind[],
  call: Call,
  failure: Failure,
  cluster: string,
  replay: Replay | undefined,
  env: StandInEnv,
): Promise<Reply> {
  const { error, reply } = failure;
  // In this turn: from here on the body is kept whole.
  replay?.freeze();
  const waits = kinds.some(({ takesTime }) => takesTime);
  const letGo = waits ? env.hold(call) : undefined;
  const held = reply !== undefined && waits ? new HeldReply(reply, env.clock) : undefined;
  try {
    for (const kind of kinds) {
      const { reason } = call.cancellation;
      // The caller has left, or the mesh has closed.
      if (reason !== undefined && !isFailure(call, reason)) break;
      // Nobody waits any more; what is there at once is better than nothing all the same.
      if (kind.takesTime && reason !== undefined) continue;
      const answer = await answerOf(kind, call, failure);
      if (answer === undefined) continue;
      if (kind.by === 'service') replay?.commit();
      else replay?.dispose();
      if (held !== undefined) held.replaced();
      else discard(reply?.body, env.clock);
      if (error !== undefined) call.record.raise(error.flag);
      call.record.fallback = kind.by;
      answer.headers[FALLBACK_HEADER] = kind.by;
      env.meter.event({ kind: 'fallback', cluster, by: kind.by, reason: failure.reason });
      return answer;
    }
  } finally {
    letGo?.();
  }
  const { reason } = call.cancellation;
  const ended = reason === undefined || isFailure(call, reason) ? undefined : reason;
  if (reply !== undefined && ended === undefined) {
    const standing = held?.stands() ?? reply;
    if (standing === reply) replay?.thaw();
    else replay?.dispose();
    return standing;
  }
  held?.cut();
  replay?.dispose(ended ?? error);
  throw ended ?? error;
}

async function answerOf(kind: Kind, call: Call, failure: Failure): Promise<Reply | undefined> {
  try {
    return await kind.answer(call, failure);
  } catch {
    return undefined;
  }
}
