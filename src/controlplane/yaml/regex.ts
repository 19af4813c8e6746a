import { RE2JS } from 're2js';

/** Why RE2 refuses an expression, or undefined when it takes it. What is plain text needs no engine. */
export function regexProblem(source: string): string | undefined {
  if (/^[\w\-/ ]*$/.test(source)) return undefined;
  try {
    RE2JS.compile(source);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
