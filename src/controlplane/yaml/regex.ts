import { createRequire } from 'node:module';

type Engine = typeof import('re2js').RE2JS;
let engine: Engine | undefined;

/** As the decoder of xDS has it: matching takes time in proportion to text × instructions. */
const MAX_INSTRUCTIONS = 2_000;

/** Loaded with the first expression that needs it (6 ms); at once, since reading a configuration does not wait. */
function loadEngine(): Engine {
  // One source for both builds: CommonJS has `__filename`, ESM has `import.meta.url`.
  const require = createRequire(typeof __filename === 'string' ? __filename : import.meta.url);
  engine ??= (require('re2js') as typeof import('re2js')).RE2JS;
  return engine;
}

/** Why RE2 refuses an expression, or undefined when it takes it. What is plain text needs no engine. */
export function regexProblem(source: string): string | undefined {
  if (/^[\w\-/ ]*$/.test(source)) return undefined;
  try {
    const size = loadEngine().compile(source).programSize();
    return size <= MAX_INSTRUCTIONS
      ? undefined
      : `it has ${size} instructions, at most ${MAX_INSTRUCTIONS} are allowed`;
  } catch (error) {
    return (error as Error).message;
  }
}
