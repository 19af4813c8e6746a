import type { CorsPolicy } from '../../core/model/route.js';
import type { Random } from '../../core/random.js';
import { localReply } from '../../core/reply.js';
import type { Filter } from '../../core/service.js';
import { compileCors } from '../../routing/cors.js';

/** Answers preflights and tells browsers what they may do, as Envoy's CORS filter. Undefined when the policy does nothing. */
export function cors(policy: CorsPolicy | undefined, random: Random): Filter | undefined {
  const decide = policy === undefined ? undefined : compileCors(policy, random);
  if (decide === undefined) return undefined;
  return (next) => (call) => {
    const decision = decide(call);
    if (decision === undefined) return next(call);
    if (decision.kind === 'preflight') return Promise.resolve(localReply(200, decision.headers));
    return next(call).then(
      (reply) => {
        Object.assign(reply.headers, decision.headers);
        return reply;
      },
      (error: unknown) => {
        // Without these fields a page could not even see that the call failed.
        call.record.changeReply(({ headers }) => Object.assign(headers, decision.headers));
        throw error;
      },
    );
  };
}
