/**
 * What some tests need and npm cannot bring. Each is looked for, then fetched into the cache; when neither works, the tests that need
 * it are left out, and the run says so and why.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { cache } from './project.mjs';

const succeeds = (command, args) => spawnSync(command, args, { stdio: 'ignore', timeout: 60_000 }).status === 0;

/** A Python with grpcio (the C core): the judge that we did not write, as client and as server. */
function python() {
  const imports = ['-c', 'import grpc, grpc_tools, google.protobuf'];
  const given = process.env.INMESH_PYTHON;
  if (given !== undefined) {
    if (succeeds(given, imports)) return { env: { INMESH_PYTHON: given } };
    return { missing: `INMESH_PYTHON=${given} cannot import grpc: pip install grpcio grpcio-tools` };
  }
  const folder = join(cache, 'python');
  const own = process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
  if (existsSync(own) && succeeds(own, imports)) return { env: { INMESH_PYTHON: own } };
  const base = ['python3', 'python'].find((name) =>
    succeeds(name, ['-c', 'import sys; assert sys.version_info >= (3, 8)']),
  );
  if (base === undefined) return { missing: 'no Python 3.8 or newer on this machine' };
  if (succeeds(base, imports)) return { env: { INMESH_PYTHON: base } };
  mkdirSync(cache, { recursive: true });
  console.log('fetching Python grpcio for the interoperability tests (once)');
  const steps = [
    [base, ['-m', 'venv', '--clear', folder]],
    [
      own,
      [
        '-m',
        'pip',
        'install',
        '--quiet',
        '--disable-pip-version-check',
        '--only-binary',
        ':all:',
        'grpcio',
        'grpcio-tools',
      ],
    ],
  ];
  for (const [command, args] of steps) {
    const { status, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 300_000 });
    if (status !== 0) {
      const reason = stderr?.trim().split('\n').at(-1) ?? 'it did not end in time';
      return { missing: `${command} ${args.slice(0, 3).join(' ')}: ${reason}` };
    }
  }
  return succeeds(own, imports)
    ? { env: { INMESH_PYTHON: own } }
    : { missing: 'grpcio was installed but cannot be imported' };
}

/** Name, what it is for, and how to get it: `env` for the tests, or why it is missing. */
const EXTRAS = [{ name: 'Python grpcio', usedBy: 'test/interop', provide: python }];

/** Provides all it can. */
export function provideExtras() {
  const env = {};
  const missing = [];
  for (const { name, usedBy, provide } of EXTRAS) {
    const result = provide();
    if (result.missing === undefined) Object.assign(env, result.env);
    else missing.push(`${name} (used by ${usedBy}): ${result.missing}`);
  }
  return { env, missing };
}
