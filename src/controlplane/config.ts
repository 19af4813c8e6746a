import { Problems } from './yaml/problem.js';
import { type SourceFile, readDocuments } from './yaml/read.js';
import { type CompileResult, compile, refused } from './compile/compile.js';

/** Compiles texts, each with the name that messages use for it. Never throws: mistakes are in `problems`. */
export function compileText(files: readonly SourceFile[]): CompileResult {
  const problems = new Problems();
  const documents = readDocuments(files, problems);
  const result = compile(documents);
  if (problems.list.length === 0) return result;
  // References to a resource that is itself wrong would be complained about twice.
  return refused(problems.list);
}
