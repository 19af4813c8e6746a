import { claimPath } from '../../core/claims.js';
import type { HeaderMatch } from '../../core/model/match.js';
import { isHeaderName } from './header-name.js';
import type { Message } from './message.js';
import { regexMatcher, stringMatch } from './string-match.js';

/** Members of the oneof `header_match_specifier`; all but `string_match`, `range_match` and `present_match` are deprecated. */
const SPECIFIERS = [
  'exact_match',
  'safe_regex_match',
  'range_match',
  'present_match',
  'prefix_match',
  'suffix_match',
  'contains_match',
  'string_match',
] as const;

/** `route.v3.HeaderMatcher`. Pseudo-headers (`:method`, `:path`, `:authority`) are matched like others. */
export function headerMatch(matcher: Message): HeaderMatch {
  const written = matcher.requiredText('name');
  const isClaim = claimPath(written) !== undefined;
  const name = isClaim ? written : written.toLowerCase();
  if (!isClaim && !isHeaderName(name.startsWith(':') ? name.slice(1) : name))
    throw matcher.error('name', 'must be a header name (RFC 9110)');
  return {
    name,
    match: specifier(matcher),
    invert: matcher.flag('invert_match'),
    treatMissingAsEmpty: matcher.flag('treat_missing_header_as_empty'),
  };
}

function specifier(matcher: Message): HeaderMatch['match'] {
  const which = matcher.oneof(...SPECIFIERS);
  switch (which) {
    case 'string_match':
      return stringMatch(matcher.required(which));
    case 'exact_match':
      return { kind: 'exact', value: matcher.text(which), ignoreCase: false };
    case 'prefix_match':
      return { kind: 'prefix', value: matcher.requiredText(which), ignoreCase: false };
    case 'suffix_match':
      return { kind: 'suffix', value: matcher.requiredText(which), ignoreCase: false };
    case 'contains_match':
      return { kind: 'contains', value: matcher.requiredText(which), ignoreCase: false };
    case 'safe_regex_match':
      return { kind: 'regex', regex: regexMatcher(matcher.required(which)) };
    case 'range_match': {
      const range = matcher.required(which);
      return { kind: 'range', start: range.int64('start'), end: range.int64('end') };
    }
    case 'present_match':
      return { kind: 'present', present: matcher.flag(which) };
    default:
      // A matcher that is newer than this version looks the same as none: matching on presence, as Envoy does for none, could send
      // calls where they must not go. gRPC refuses it too (gRFC A28, "unknown header matcher").
      throw matcher.error('', `must have one of ${SPECIFIERS.join(', ')}`);
  }
}
