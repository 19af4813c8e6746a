import type { Call, CallRecord } from '../../core/call.js';
import type { Reply } from '../../core/reply.js';
import type { Failure } from './failure.js';

/** One way to stand in for a reply. */
export interface Kind {
  readonly by: NonNullable<CallRecord['fallback']>;
  /** It may take time: there is none once the call's deadline has passed. */
  readonly takesTime: boolean;
  /** Undefined: it has no answer. May reject, which is the same. */
  answer(call: Call, failure: Failure): Reply | undefined | Promise<Reply | undefined>;
}
