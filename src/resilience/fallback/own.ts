import type { Call } from '../../core/call.js';
import type { CallChoices } from '../../core/call-policy.js';
import { MeshError } from '../../core/errors.js';
import type { Filter } from '../../core/service.js';
import { failedReply, isFailure } from './failure.js';
import { type FunctionEnv, Functions, replyAs } from './function.js';
import type { Kind } from './kind.js';
import { type StandInEnv, standIn } from './stand-in.js';

/**
 * The fallback that a call brings along. Around its whole way, so that it also answers where nothing is known of the destination; within the
 * application's deadline.
 */
export const ownFallback = (env: StandInEnv & Pick<FunctionEnv, 'logger'>): Filter => {
  const functions = new Functions(env);
  return (next) => (call) => {
    const { fallback } = call;
    if (fallback === undefined) return next(call);
    const kinds = [kindOf(fallback, functions)];
    const cluster = (): string => call.record.cluster ?? call.authority;
    return next(call).then(
      (reply) => {
        const reason = failedReply(call, reply);
        if (reason === undefined) return reply;
        return standIn(kinds, call, { reason, error: undefined, reply, key: undefined }, cluster(), undefined, env);
      },
      (error: unknown) => {
        if (!(error instanceof MeshError) || !isFailure(call, error)) throw error;
        const failure = { reason: error.code, error, reply: undefined, key: undefined };
        return standIn(kinds, call, failure, cluster(), undefined, env);
      },
    );
  };
};

const kindOf = (fallback: NonNullable<CallChoices['fallback']>, functions: Functions): Kind =>
  typeof fallback === 'function'
    ? {
        by: 'function',
        takesTime: true,
        answer: (call, failure) => functions.ask('of the call', fallback, call, failure),
      }
    : { by: 'static', takesTime: false, answer: (call: Call) => replyAs(call, fallback) };
