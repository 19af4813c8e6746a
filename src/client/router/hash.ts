import type { HashPolicy } from '../../core/model/route.js';
import type { Filter } from '../../core/service.js';
import { addCookie } from '../../routing/cookies.js';
import { compileHash } from '../../routing/hash/hash.js';
import type { ClientEnv } from '../env.js';
import { hashEnv } from './env.js';

/**
 * Gives calls their hash by the route's policies, and callers the cookies that were made for it, unless nothing goes by it (Envoy hashes only then).
 * Undefined when there is no policy.
 */
export function hashCalls(
  policies: readonly HashPolicy[] | undefined,
  user: { readonly hashes: boolean },
  env: ClientEnv,
): Filter | undefined {
  const hashing = hashEnv(env);
  if (policies === undefined || policies.length === 0 || hashing === undefined) return undefined;
  const hashOf = compileHash(policies);
  return (next) => (call) => {
    const { hash, cookies } = hashOf(call, hashing);
    call.hash = hash;
    if (cookies === undefined) return next(call);
    return next(call).then((reply) => {
      // Known only now: the clusters of an aggregate are made by the calls that go there.
      if (user.hashes) for (const cookie of cookies) addCookie(reply.headers, cookie);
      return reply;
    });
  };
}
