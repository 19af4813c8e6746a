import type { Call } from '../../core/call.js';
import type { CallChoices } from '../../core/call-policy.js';
import { MeshError } from '../../core/errors.js';
import type { Reply } from '../../core/reply.js';
import type { Filter } from '../../core/service.js';
import { failedReply, isFailure } from './failure.js';
import { type FunctionEnv, Functions, replyAs } from './function.js';
import type { Kind } from './kind.js';
import { type StandInEnv, standIn } from './stand-in.js';

/**
 * The fallback that a call brings along. Around its whole way, so that it also answers where nothing is known of the destination; within the
 * application's deadline. What is sent has a switch of its own: the time that a route allows ends the sending, not the fallback.
 */
export const ownFallback = (env: StandInEnv & Pick<FunctionEnv, 'logger'>): Filter => {
  const functions = new Functions(env);
  return (next) => (call) => {
    const { fallback } = call;
    if (fallback === undefined) return next(call);
    const sent = call.attemptOf(0, undefined);
    call.cancellation.add((reason) => sent.cancel(reason));
    const instead = (reason: string, error: MeshError | undefined, reply: Reply | undefined): Promise<Reply> => {
      const kinds = [kindOf(fallback, functions, sent)];
      const cluster = call.record.cluster ?? call.authority;
      return standIn(kinds, call, { reason, error, reply, key: undefined }, cluster, undefined, env);
    };
    return next(sent).then(
      (reply) => {
        const reason = failedReply(call, reply);
        return reason === undefined ? reply : instead(reason, undefined, reply);
      },
      (error: unknown) => {
        if (!(error instanceof MeshError) || !isFailure(call, error)) throw error;
        return instead(error.code, error, undefined);
      },
    );
  };
};

const kindOf = (fallback: NonNullable<CallChoices['fallback']>, functions: Functions, sent: Call): Kind =>
  typeof fallback === 'function'
    ? {
        by: 'function',
        takesTime: true,
        answer: (call, failure) => functions.ask('of the call', fallback, sent, failure, call),
      }
    : { by: 'static', takesTime: false, answer: (call) => replyAs(call, fallback) };
