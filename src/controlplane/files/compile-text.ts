import { type CompileOptions, type CompileResult, compile, refused } from '../compile/compile.js';
import type { Unreadable } from '../compile/references.js';
import { type Problem, Problems } from '../yaml/problem.js';
import { readDocuments, type SourceFile } from '../yaml/read.js';

/** With a text that is not even YAML nobody knows what is in it: nothing that others refer to is surely missing. */
const ANYTHING: Unreadable = { has: () => true };

/**
 * Compiles texts, each with the name that messages use for it. Never throws: mistakes are in `problems`, those of all texts.
 * `before`: problems met on the way here, such as a file that could not be read.
 */
export function compileText(
  files: readonly SourceFile[],
  options: Pick<CompileOptions, 'danglingBackends' | 'keyFileFault'> = {},
  before: readonly Problem[] = [],
): CompileResult {
  const problems = new Problems();
  for (const problem of before) problems.add(problem);
  const { documents, salvaged, unreadable, complete } = readDocuments(files, problems);
  const known = complete && before.length === 0 ? unreadable : ANYTHING;
  const result = compile(documents, { ...options, unreadable: known, salvaged });
  return problems.list.length === 0 ? result : refused([...problems.list, ...result.problems]);
}
