import type { StringMatch } from '../../core/model/match.js';

/** Compiles `type.matcher.v3.StringMatcher`. */
export function stringTest(match: StringMatch): (text: string) => boolean {
  if (match.kind === 'regex') return (text) => match.regex.matches(text);
  const value = match.ignoreCase ? match.value.toLowerCase() : match.value;
  const folded = match.ignoreCase ? (text: string): string => text.toLowerCase() : (text: string): string => text;
  switch (match.kind) {
    case 'exact':
      return (text) => folded(text) === value;
    case 'prefix':
      return (text) => folded(text).startsWith(value);
    case 'suffix':
      return (text) => folded(text).endsWith(value);
    case 'contains':
      return (text) => folded(text).includes(value);
  }
}
