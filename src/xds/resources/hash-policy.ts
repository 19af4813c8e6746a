import type { Message } from './message.js';
import { regexSubstitute } from './string-match.js';

/**
 * `RouteAction.hash_policy`. No balancer here hashes, so nothing is made of them; but one of a kind that gRPC knows must be right. "For any
 * hash policy type that gRPC does not support, that hash policy is treated as simply not returning any result" - A42.
 */
export function checkHashPolicies(action: Message): void {
  for (const policy of action.each('hash_policy')) {
    policy.flag('terminal');
    const rewrite = policy.message('header')?.message('regex_rewrite');
    if (rewrite !== undefined) regexSubstitute(rewrite);
  }
}
