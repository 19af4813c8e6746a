import type { QueryMatch, SafeRegex, StringMatch } from '../../core/model/match.js';
import { safeRegex, safeSubstitution } from '../../core/regex/safe-regex.js';
import type { Message } from './message.js';

/** `type.matcher.v3.RegexMatcher`; `google_re2` is the only engine there is, and the default. */
export function regexMatcher(matcher: Message): SafeRegex {
  const source = matcher.requiredText('regex');
  matcher.spend(source.length);
  try {
    return safeRegex(source);
  } catch (error) {
    throw matcher.error('regex', (error as Error).message);
  }
}

/** `type.matcher.v3.RegexMatchAndSubstitute`. */
export function regexSubstitute(rewrite: Message): { readonly regex: SafeRegex; readonly substitution: string } {
  const pattern = rewrite.required('pattern');
  const regex = regexMatcher(pattern);
  const substitution = rewrite.text('substitution');
  try {
    return { regex: safeSubstitution(regex.source, substitution), substitution };
  } catch (error) {
    throw rewrite.error('substitution', (error as Error).message);
  }
}

const LITERALS = ['exact', 'prefix', 'suffix', 'contains'] as const;

/** `type.matcher.v3.StringMatcher`. */
export function stringMatch(matcher: Message): StringMatch {
  const pattern = matcher.oneof(...LITERALS, 'safe_regex', 'custom');
  switch (pattern) {
    case 'exact':
      return { kind: 'exact', value: matcher.text('exact'), ignoreCase: matcher.flag('ignore_case') };
    case 'prefix':
    case 'suffix':
    case 'contains':
      // "min_len: 1" - string.proto: an empty one matches everything and is a mistake.
      return { kind: pattern, value: matcher.requiredText(pattern), ignoreCase: matcher.flag('ignore_case') };
    case 'safe_regex':
      // "This has no effect for the safe_regex match." - string.proto, ignore_case
      return { kind: 'regex', regex: regexMatcher(matcher.required('safe_regex')) };
    default:
      throw matcher.error('', `must have one of ${LITERALS.join(', ')}, safe_regex`);
  }
}

/**
 * `route.v3.QueryParameterMatcher`. gRPC ignores a route that has one, as its calls have no query (gRFC A28); ours may have one,
 * and Envoy matches it, so we do. A gRPC call has no parameters and fails to match on presence like any other.
 */
export function queryMatch(matcher: Message): QueryMatch {
  const name = matcher.requiredText('name');
  switch (matcher.oneof('string_match', 'present_match')) {
    case 'string_match':
      return { name, match: stringMatch(matcher.required('string_match')) };
    case 'present_match':
      return { name, match: { kind: 'present', present: matcher.flag('present_match') } };
    default:
      // Nothing but a name asks for presence (Envoy, config_utility.cc).
      return { name, match: { kind: 'present', present: true } };
  }
}
