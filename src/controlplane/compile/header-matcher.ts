import type { HeaderMatchSpec } from '../yaml/schema/header-match.js';
import type { Plain } from './proto.js';

/** Envoy's `HeaderMatcher`. */
export function headerMatcher({ name, type, value = '', invert }: HeaderMatchSpec): { readonly [key: string]: Plain } {
  return { name: name.toLowerCase(), ...specifier(type, value), ...(invert === true && { invert_match: true }) };
}

function specifier(type: HeaderMatchSpec['type'], value: string): { readonly [key: string]: Plain } {
  switch (type) {
    case 'Present':
      return { present_match: true };
    case 'Exact':
      return { string_match: { exact: value } };
    case 'Prefix':
      return { string_match: { prefix: value } };
    case 'Suffix':
      return { string_match: { suffix: value } };
    case 'Contains':
      return { string_match: { contains: value } };
    case 'RegularExpression':
      return { string_match: { safe_regex: { regex: value } } };
  }
}
