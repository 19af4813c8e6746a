/** What follows a character that may stand there no time, or more than once. */
const QUANTIFIERS = '*+?{';
const SPECIAL = '\\^$.|?*+()[]{}';

/**
 * Text that everything begins with that the expression (RE2 syntax, whole match) matches; '' when there is none to be seen. Never too long: it is
 * used to leave an expression out where it cannot match.
 */
export function literalPrefix(source: string): string {
  if (hasAlternatives(source)) return '';
  let prefix = '';
  for (let i = source.startsWith('^') ? 1 : 0; i < source.length; i++) {
    let char = source[i] as string;
    if (char === '\\') {
      const next = source[i + 1];
      // Letters and digits after a backslash are classes and assertions; punctuation is itself.
      if (next === undefined || !/^[!-/:-@[-`{-~]$/.test(next)) return prefix;
      char = next;
      i++;
    } else if (SPECIAL.includes(char) || /[\ud800-\udfff]/.test(char)) return prefix;
    const after = source[i + 1];
    if (after !== undefined && QUANTIFIERS.includes(after)) return prefix;
    prefix += char;
  }
  return prefix;
}

/** A "|" outside of all groups and classes; or where that cannot be told. */
function hasAlternatives(source: string): boolean {
  if (!source.includes('|')) return false;
  if (source.includes('\\Q')) return true;
  let depth = 0;
  let inClass = false;
  for (let i = 0; i < source.length; i++) {
    const char = source[i];
    if (char === '\\') i++;
    else if (inClass) inClass = char !== ']';
    else if (char === '[') {
      inClass = true;
      // "[]a]" and "[^]a]": a bracket at the beginning is a member.
      if (source[i + 1] === '^') i++;
      if (source[i + 1] === ']') i++;
    } else if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (char === '|' && depth === 0) return true;
  }
  return false;
}
