import type { Call } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import { discard } from '../../core/discard.js';
import { FALLBACK_HEADER } from '../../core/mesh-headers.js';
import type { Meter } from '../../core/meter.js';
import type { Reply } from '../../core/reply.js';
import type { Failure } from './failure.js';
import type { Kind } from './kind.js';
import type { Replay } from './service.js';

export interface StandInEnv {
  readonly clock: Clock;
  readonly meter: Meter;
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
  for (const kind of kinds) {
    // Nobody waits any more; what is there at once is better than nothing all the same.
    if (kind.takesTime && call.cancellation.cancelled) continue;
    const answer = await kind.answer(call, failure);
    if (answer === undefined) continue;
    if (kind.by === 'service') replay?.commit();
    else replay?.dispose();
    discard(reply?.body, env.clock);
    if (error !== undefined) call.record.raise(error.flag);
    call.record.fallback = kind.by;
    answer.headers[FALLBACK_HEADER] = kind.by;
    env.meter.event({ kind: 'fallback', cluster, by: kind.by, reason: failure.reason });
    return answer;
  }
  if (reply !== undefined) {
    replay?.thaw();
    return reply;
  }
  replay?.dispose(error);
  throw error;
}
