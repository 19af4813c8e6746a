/**
 * Gets a checkout ready to run: installed, generated, built. Plain Node, no dependency, so that it works right after `git clone`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** Everything that scripts keep between runs; goes with node_modules. */
export const cache = join(root, 'node_modules', '.cache', 'inmesh');

/** Runs a command in the project's folder with the terminal attached; throws when it fails. */
export function run(command, args, options = {}) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${status}`}`);
}

/** Runs npm, which is a .cmd file on Windows and needs a shell there. */
export const npm = (...args) => run('npm', args, { shell: process.platform === 'win32' });

const json = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'));

/** What of the lockfile is not in node_modules as it should be; undefined when all is there. */
export function missingDependency() {
  if (!existsSync(join(root, 'node_modules', '.package-lock.json'))) return 'node_modules';
  const present = json('node_modules/.package-lock.json').packages;
  for (const [path, wanted] of Object.entries(json('package-lock.json').packages)) {
    // '' is the project itself; an optional one may belong to another platform.
    if (path === '' || wanted.optional || wanted.devOptional) continue;
    if (present[path]?.version !== wanted.version) return `${path} ${wanted.version}`;
  }
  return undefined;
}

export function install() {
  const missing = missingDependency();
  if (missing === undefined) return;
  console.log(`${missing} is not installed: npm ci --ignore-scripts`);
  npm('ci', '--ignore-scripts', '--no-audit', '--no-fund');
}

/** The newest change below the given paths, in milliseconds since the epoch; 0 when there is nothing. */
function newest(paths) {
  let latest = 0;
  for (const path of paths.map((name) => join(root, name))) {
    if (!existsSync(path)) continue;
    const files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
      : [path];
    for (const file of files) latest = Math.max(latest, statSync(file).mtimeMs);
  }
  return latest;
}

/** Why what the last build made cannot be used; undefined when it can. */
export function stale() {
  const made = join(root, 'dist', 'index.d.cts');
  if (!existsSync(made)) return 'nothing is built yet';
  if (!existsSync(join(root, 'src/xds/gen/descriptor.json'))) return 'the schema of xDS is not generated';
  const sources = ['src', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsup.config.ts'];
  return newest(sources) > statSync(made).mtimeMs ? 'dist/ is older than src/' : undefined;
}

export function build() {
  const reason = stale();
  if (reason === undefined) return;
  console.log(`${reason}: npm run build`);
  npm('run', '--silent', 'build');
}

/** Installs and builds what is missing or stale; nothing when all is well. */
export function prepare() {
  install();
  build();
}

/** Runs a Node program until it ends, passes the signals of the terminal on, and resolves with its exit code. */
export function runNode(args, env = {}) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  // The terminal sends Ctrl-C to the child as well: wait for it to finish its work.
  const ignore = () => {};
  const pass = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore).on('SIGTERM', pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      process.off('SIGINT', ignore).off('SIGTERM', pass);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 1));
    });
  });
}
