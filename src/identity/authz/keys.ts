import type { AuthzCondition, RbacPolicy } from '../../core/model/authorization.js';
import type { StringMatch } from '../../core/model/match.js';

/** By what of a request policies can be looked up. */
export const DIMENSIONS = ['path', 'principal', 'host'] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** A text, in lower case, that a request must have, begin with or end in for a policy to match it. */
export interface Key {
  readonly kind: 'exact' | 'prefix' | 'suffix';
  readonly text: string;
}

/** Beyond that many keys a policy is not looked up by them. */
const MAX_KEYS = 1_000;

/** Keys of which a request must have one for the policy to match; undefined: there are no such keys. */
export function keysOf(policy: RbacPolicy, dimension: Dimension): readonly Key[] | undefined {
  return fewer(keysOfAny(policy.permissions, dimension), keysOfAny(policy.principals, dimension));
}

/** Any of these conditions: each must have keys. */
function keysOfAny(conditions: readonly AuthzCondition[], dimension: Dimension): readonly Key[] | undefined {
  const found: Key[] = [];
  for (const condition of conditions) {
    const keys = keysOfCondition(condition, dimension);
    if (keys === undefined || found.length + keys.length > MAX_KEYS) return undefined;
    found.push(...keys);
  }
  return found;
}

function keysOfCondition(condition: AuthzCondition, dimension: Dimension): readonly Key[] | undefined {
  switch (condition.kind) {
    case 'and': {
      let found: readonly Key[] | undefined;
      for (const of of condition.of) found = fewer(found, keysOfCondition(of, dimension));
      return found;
    }
    case 'or':
      return keysOfAny(condition.of, dimension);
    case 'path':
      return dimension === 'path' ? keyOf(condition.match) : undefined;
    case 'authenticated':
      return dimension === 'principal' && condition.name !== undefined ? keyOf(condition.name) : undefined;
    case 'header': {
      const { name, match, invert, treatMissingAsEmpty } = condition.header;
      const isHost = name === ':authority' || name === 'host';
      if (dimension !== 'host' || !isHost || invert || treatMissingAsEmpty) return undefined;
      return match.kind === 'range' || match.kind === 'present' ? undefined : keyOf(match);
    }
    default:
      return undefined;
  }
}

function keyOf(match: StringMatch): readonly Key[] | undefined {
  if (match.kind === 'regex' || match.kind === 'contains') return undefined;
  return [{ kind: match.kind, text: match.value.toLowerCase() }];
}

function fewer(a: readonly Key[] | undefined, b: readonly Key[] | undefined): readonly Key[] | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return b.length < a.length ? b : a;
}
