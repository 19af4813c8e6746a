import { EXIT, type ExitCode, type Io, type OutputFormat } from './io.js';

export interface AnalyzeOptions {
  readonly output: OutputFormat;
  /** From where on the command fails. */
  readonly failureThreshold: 'warn' | 'error';
}

/** Compiles the files and prints every mistake. Fails when there is one; for a warning only where that is asked for. */
export async function analyze(
  paths: readonly string[],
  { output, failureThreshold }: AnalyzeOptions,
  io: Io,
): Promise<ExitCode> {
  const [{ formatProblem, loadConfig }, { jwksFileFault }] = await Promise.all([
    import('../controlplane/index.js'),
    import('../controlplane/files/jwks-file.js'),
  ]);
  const { problems, warnings } = await loadConfig(paths, { keyFileFault: jwksFileFault });
  if (output === 'json') io.out(`${JSON.stringify({ problems, warnings }, undefined, 2)}\n`);
  else {
    for (const problem of problems) io.out(`${formatProblem(problem)}\n`);
    for (const warning of warnings) io.out(`warning: ${formatProblem(warning)}\n`);
    io.err(`${counted(problems.length, 'problem')}, ${counted(warnings.length, 'warning')}\n`);
  }
  const failing = failureThreshold === 'warn' ? [...problems, ...warnings] : problems;
  return failing.length === 0 ? EXIT.ok : EXIT.failed;
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;
