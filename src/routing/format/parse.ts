/** Text as it is, or a command: `%NAME%`, `%NAME(argument)%`, `%NAME(argument):10%`. */
export type Token =
  | string
  | { readonly name: string; readonly argument: string | undefined; readonly length: number | undefined };

const COMMAND = /%([A-Z0-9_]+)(?:\(((?:[^)]|\)(?!(?::\d+)?%))*)\))?(?::(\d+))?%/y;

/** Longest format that is read, in UTF-16 units: more than any header may be long. */
const MAX_FORMAT = 16_384;

/**
 * Takes a substitution format string of Envoy's apart; `%%` is a percent sign. An argument may itself hold percent signs and parentheses: it ends with the
 * first `)%` or `):10%`. Throws an Error that says what is wrong.
 */
export function parseFormat(text: string): readonly Token[] {
  if (text.length > MAX_FORMAT) throw new Error(`must be at most ${MAX_FORMAT} characters long, has ${text.length}`);
  const tokens: Token[] = [];
  let literal = '';
  let at = 0;
  for (;;) {
    const percent = text.indexOf('%', at);
    literal += text.slice(at, percent < 0 ? undefined : percent);
    if (percent < 0) break;
    if (text[percent + 1] === '%') {
      literal += '%';
      at = percent + 2;
      continue;
    }
    COMMAND.lastIndex = percent;
    const match = COMMAND.exec(text);
    if (match === null) {
      throw new Error(
        `has no valid command at position ${percent}: write %NAME% or %NAME(argument)%, and %% for a percent sign`,
      );
    }
    if (literal !== '') tokens.push(literal);
    literal = '';
    const [, name, argument, length] = match as unknown as [string, string, string | undefined, string | undefined];
    tokens.push({ name, argument, length: length === undefined ? undefined : Number(length) });
    at = COMMAND.lastIndex;
  }
  if (literal !== '') tokens.push(literal);
  return tokens;
}
