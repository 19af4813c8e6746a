import type { CompileOptions, CompileResult } from './compile/compile.js';
import { compileText } from './files/compile-text.js';
import { findFiles, readFiles } from './files/read.js';

export { type CompileOptions, type CompileResult, compile, type MeshSettings } from './compile/compile.js';
export { compileText } from './files/compile-text.js';
export { type ConfigWatch, type WatchOptions, watchConfig } from './files/watch.js';
export { formatProblem, type Problem } from './yaml/problem.js';
export type { SourceFile } from './yaml/read.js';

/** Compiles files and folders once. Never rejects: what cannot be read is in `problems` like every other mistake. */
export async function loadConfig(
  paths: string | readonly string[],
  options: Pick<CompileOptions, 'danglingBackends' | 'keyFileFault'> = {},
): Promise<CompileResult> {
  const { files, problems } = await readFiles(await findFiles(typeof paths === 'string' ? [paths] : paths));
  return compileText(files, options, problems);
}
