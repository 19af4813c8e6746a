const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: it is control characters that are looked for.
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** RFC 9110 section 5.1: a field name is a token. */
export const isHeaderName = (name: string): boolean => TOKEN.test(name);

/** RFC 9110 section 5.5: visible characters, spaces and tabs; and what Node writes as it is, Latin-1. */
export function isHeaderValue(value: string): boolean {
  if (CONTROL.test(value)) return false;
  for (let i = 0; i < value.length; i++) if (value.charCodeAt(i) > 0xff) return false;
  return true;
}
