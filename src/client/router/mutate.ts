import type { HeaderMutation } from '../../core/model/route.js';
import type { Filter } from '../../core/service.js';
import { compileMutation } from '../../routing/header-mutation.js';
import type { ClientEnv } from '../env.js';

/** Changes the headers of replies, also of those that a face makes of errors; the levels in the order given. Undefined when nothing is changed. */
export function changeReplies(levels: readonly (HeaderMutation | undefined)[], env: ClientEnv): Filter | undefined {
  const mutators = levels.map(compileMutation).filter((mutator) => mutator !== undefined);
  if (mutators.length === 0) return undefined;
  return (next) => (call) =>
    next(call).then(
      (reply) => {
        for (const mutate of mutators) mutate(reply.headers, call, reply, env);
        return reply;
      },
      (error: unknown) => {
        // Envoy's router: what a route changes, it changes in replies that tell of a failure too.
        for (const mutate of mutators) call.record.changeReply((reply) => mutate(reply.headers, call, reply, env));
        throw error;
      },
    );
}

/** The same for requests, before anything is attempted. */
export function changeRequests(levels: readonly (HeaderMutation | undefined)[], env: ClientEnv): Filter | undefined {
  const mutators = levels.map(compileMutation).filter((mutator) => mutator !== undefined);
  if (mutators.length === 0) return undefined;
  return (next) => (call) => {
    for (const mutate of mutators) mutate(call.headers, call, undefined, env);
    return next(call);
  };
}
