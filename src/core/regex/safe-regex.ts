import { RE2JS } from 're2js';
import type { SafeRegex } from '../model/match.js';
import { literalMatcher } from './literal.js';
import { estimatedProgramSize } from './program-size.js';
import { parseSubstitution, type Substitution } from './substitution.js';

type Program = ReturnType<typeof RE2JS.compile>;

// RE2JS takes 8 ms to load and comes with this file: with what decodes configuration, never with `inmesh` itself. By an import that bundlers see, and not
// when the first expression needs it, which would have to be synchronous.

/** Longest expression that is accepted, in UTF-16 units. */
const MAX_SOURCE = 4_096;
/**
 * Largest compiled program, in instructions. Matching takes at most text × instructions: 0.2 s for 8 kB of path at this size on one
 * core. Envoy's `re2.max_program_size.error_level` is 100 by default, Istio raises it to 32768.
 */
const MAX_PROGRAM = 2_000;
/**
 * What looks larger than this is not even compiled, which takes 1.7 ms and 0.8 MB for each thousand instructions. The engine can make an
 * expression smaller than it looks (`abc|abd` is `ab[cd]`), but hardly four times.
 */
const MAX_ESTIMATE = 4 * MAX_PROGRAM;

class CompiledRegex implements SafeRegex {
  readonly matches: (text: string) => boolean;
  #program: Program | undefined;
  #parsed: { readonly text: string; readonly substitution: Substitution } | undefined;

  constructor(readonly source: string) {
    const literal = literalMatcher(source);
    if (literal === undefined) {
      const program = this.#compile();
      this.matches = (text) => program.testExact(text);
    } else this.matches = literal;
  }

  replaceAll(text: string, substitution: string): string {
    if (this.#parsed?.text !== substitution) {
      this.#parsed = { text: substitution, substitution: parseSubstitution(substitution, this.groups) };
    }
    const pieces = this.#parsed.substitution;
    return this.#compile()
      .matcher(text)
      .replaceAll((...groups: unknown[]) => fill(pieces, groups));
  }

  /** Capturing groups. */
  get groups(): number {
    return this.#compile().groupCount();
  }

  #compile(): Program {
    this.#program ??= compileProgram(this.source);
    return this.#program;
  }
}

function fill(pieces: Substitution, groups: readonly unknown[]): string {
  let text = '';
  for (const piece of pieces) text += typeof piece === 'string' ? piece : String(groups[piece] ?? '');
  return text;
}

function compileProgram(source: string): Program {
  const estimate = estimatedProgramSize(source);
  if (estimate > MAX_ESTIMATE)
    throw new Error(`too large: about ${estimate} instructions, at most ${MAX_PROGRAM} are allowed`);
  const program = RE2JS.compile(source);
  if (program.programSize() > MAX_PROGRAM) {
    throw new Error(`too large: ${program.programSize()} instructions, at most ${MAX_PROGRAM} are allowed`);
  }
  return program;
}

/**
 * A linear-time expression in RE2's syntax that must match the whole text. Those that only say "is", "begins with", "ends with" or
 * "contains" never reach the engine (1 µs a match). Throws an Error that says what is wrong with the expression.
 */
export function safeRegex(source: string): SafeRegex {
  if (source === '') throw new Error('must not be empty');
  if (source.length > MAX_SOURCE)
    throw new Error(`must be at most ${MAX_SOURCE} characters long, has ${source.length}`);
  return Object.freeze(new CompiledRegex(source));
}

/** The same for a match and its `substitution`, whose groups must exist ("error if \N is out of range" - RE2::CheckRewriteString). */
export function safeSubstitution(source: string, substitution: string): SafeRegex {
  const regex = safeRegex(source) as CompiledRegex;
  parseSubstitution(substitution, regex.groups);
  return regex;
}
