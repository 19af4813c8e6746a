import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const VENV = join(process.cwd(), 'node_modules', '.cache', 'inmesh-python');

const hasGrpc = (python: string): Promise<boolean> =>
  run(python, ['-c', 'import grpc, grpc_tools']).then(
    () => true,
    () => false,
  );

/**
 * A Python with grpcio and grpcio-tools: the one that INMESH_PYTHON names, or a virtual environment under node_modules/.cache that is
 * made on first use. A text that says why when there can be none.
 */
export async function pythonWithGrpc(): Promise<{ readonly python: string } | { readonly reason: string }> {
  const named = process.env['INMESH_PYTHON'];
  if (named !== undefined) {
    return (await hasGrpc(named))
      ? { python: named }
      : { reason: `INMESH_PYTHON (${named}) lacks grpcio or grpcio-tools` };
  }
  const python = join(VENV, 'bin', 'python');
  if (existsSync(python) && (await hasGrpc(python))) return { python };
  try {
    await run('python3', ['-m', 'venv', VENV]);
    await run(python, ['-m', 'pip', 'install', '--quiet', 'grpcio', 'grpcio-tools'], { timeout: 240_000 });
    return { python };
  } catch (error) {
    return { reason: `no Python with grpcio could be had: ${String(error).slice(0, 300)}` };
  }
}
