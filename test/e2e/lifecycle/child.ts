import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { compiled } from '../../support/compiled.js';
import type { Report, Task } from './program.js';

const program = join(import.meta.dirname, 'program.ts');

export interface Ended {
  readonly report: Report;
  readonly stderr: string;
}

/** Runs the program to its own end. Rejects when it fails, or has to be killed because something keeps it alive. */
export async function runProgram(
  task: Task,
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Ended> {
  const { GRPC_XDS_BOOTSTRAP: _, GRPC_XDS_BOOTSTRAP_CONFIG: __, INMESH_SERVICE: ___, ...inherited } = process.env;
  const env = { ...inherited, ...options.env };
  const args = [await compiled(program), JSON.stringify(task)];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: options.cwd, env, timeout: 20_000 }, (error, stdout, stderr) => {
      if (error === null) resolve({ report: JSON.parse(stdout) as Report, stderr });
      else reject(new Error(`${error.killed ? 'it did not end by itself' : error.message}\n${stdout}\n${stderr}`));
    });
  });
}
