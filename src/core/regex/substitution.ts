/** Texts, and numbers of groups to insert. */
export type Substitution = readonly (string | number)[];

/** RE2's rewrite syntax: `\0` is the whole match, `\1` to `\9` a group, `\\` a backslash. Throws when it is none of these. */
export function parseSubstitution(text: string, groups: number): Substitution {
  const pieces: (string | number)[] = [];
  let literal = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i] as string;
    if (char !== '\\') {
      literal += char;
      continue;
    }
    const next = text[++i] ?? '';
    if (next === '\\') literal += '\\';
    else if (/^[0-9]$/.test(next)) {
      if (Number(next) > groups) throw new Error(`\\${next} names a group, but the expression has only ${groups}`);
      pieces.push(literal, Number(next));
      literal = '';
    } else throw new Error(`"\\${next}" must be \\0 to \\9 or \\\\`);
  }
  pieces.push(literal);
  return pieces;
}
