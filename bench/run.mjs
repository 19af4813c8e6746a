/*
 * npm run bench [-- NAME…] [--smoke] [--json FILE]
 *
 * Runs the benchmarks of this folder, each in a process of its own; some of them by name, and the results of the others stay as they are. --smoke
 * only shows that they run; its numbers mean nothing. The sources are bundled as for a release, so that what is measured is what ships.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '..', 'node_modules', '.cache', 'inmesh-bench');
const args = process.argv.slice(2);
const smoke = args.includes('--smoke');
const jsonAt = args.indexOf('--json');
const jsonFile = jsonAt < 0 ? join(here, 'results', 'latest.json') : args[jsonAt + 1];
const named = args.filter((arg, i) => !arg.startsWith('--') && (jsonAt < 0 || i !== jsonAt + 1));

const all = readdirSync(here)
  .filter((file) => file.endsWith('.ts'))
  .map((file) => basename(file, '.ts'));
const unknown = named.filter((name) => !all.includes(name));
if (unknown.length > 0) {
  console.error(`no benchmark called ${unknown.join(', ')}; there are: ${all.join(', ')}`);
  process.exit(2);
}
const chosen = named.length > 0 ? named : all;

await build({
  entryPoints: [
    ...chosen.map((name) => join(here, `${name}.ts`)),
    join(here, 'lib', 'peer-http.ts'),
    join(here, 'lib', 'peer-grpc.ts'),
    join(here, 'lib', 'peer-xds.ts'),
    join(here, 'lib', 'peer-plane.ts'),
    join(here, 'lib', 'peer-slow.ts'),
    join(here, 'lib', 'peer-idle.ts'),
    join(here, 'lib', 'peer-outage.ts'),
    join(here, 'lib', 'peer-overload.ts'),
    join(here, 'lib', 'peer-tls.ts'),
    join(here, 'lib', 'peer-rotation.ts'),
  ],
  outdir: out,
  entryNames: '[name]',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  loader: { '.json': 'json' },
  logLevel: 'warning',
});

/** Runs one benchmark; resolves with its comparisons, or undefined when it failed. */
function run(name) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(out, `${name}.mjs`), ...(smoke ? ['--smoke'] : [])], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, INMESH_ROOT: join(here, '..') },
    });
    let comparisons;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.startsWith('JSON ')) comparisons = JSON.parse(line.slice(5));
      else console.log(line);
    });
    child.on('close', (code) => resolve(code === 0 ? comparisons : undefined));
  });
}

const results = {};
const failed = [];
for (const name of chosen) {
  console.log(`\n== ${name}${smoke ? ' (smoke: the numbers mean nothing)' : ''}`);
  const comparisons = await run(name);
  if (comparisons === undefined) failed.push(name);
  else results[name] = comparisons;
}
const machine = `${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, Node ${process.version}, ${process.platform}`;
console.log(`\n${machine}`);
if (!smoke) {
  mkdirSync(dirname(jsonFile), { recursive: true });
  const others = named.length > 0 && existsSync(jsonFile) ? JSON.parse(readFileSync(jsonFile, 'utf8')).results : {};
  writeFileSync(jsonFile, `${JSON.stringify({ machine, results: { ...others, ...results } }, null, 2)}\n`);
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exit(1);
}
