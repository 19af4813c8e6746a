#!/usr/bin/env node
/**
 * Everything that must hold before a change goes in: the tests, then each further check as one more. Ends with `N passed, N failed`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { install, root } from './lib/project.mjs';

/** `npm run` of each; `npx --no` runs what is installed and never fetches. */
const CHECKS = [
  ['lint', ['run', '--silent', 'lint']],
  ['types', ['run', '--silent', 'types']],
  ['package (publint)', ['exec', '--no', '--', 'publint', '--strict']],
  // node10 reads no `exports`, so it cannot see entry points other than the first; no supported Node resolves that way.
  ['package types (attw)', ['exec', '--no', '--', 'attw', '--pack', '.', '--profile', 'node16']],
  // Whatever a control plane sends: mutated resources, from bytes to calls. A release takes 5,000,000.
  ['fuzz (200,000 resources)', ['run', '--silent', 'fuzz', '--', '--count', '200000']],
  ['benchmarks (smoke)', ['run', '--silent', 'bench', '--', '--smoke']],
];

const shell = process.platform === 'win32';

/** What is too long for every run of the tests, and not for this one. */
const env = { INMESH_SPIRE: 'build', ...process.env };

/** Runs a command, shows its output as it comes, and resolves with all of it. */
function tee(command, args) {
  const child = spawn(command, args, { cwd: root, shell, env, stdio: ['inherit', 'pipe', 'inherit'] });
  const chunks = [];
  child.stdout.on('data', (chunk) => {
    process.stdout.write(chunk);
    chunks.push(chunk);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(Buffer.concat(chunks).toString('utf8')));
  });
}

install();
const output = await tee('npm', ['test', '--silent']);
const counted = /(\d+) passed, (\d+) failed\s*$/.exec(output);
let passed = counted === null ? 0 : Number(counted[1]);
let failed = counted === null ? 1 : Number(counted[2]);
const broken = counted === null ? ['tests'] : [];

for (const [name, args] of CHECKS) {
  console.log(`\n== ${name}`);
  if (spawnSync('npm', args, { cwd: root, shell, stdio: 'inherit' }).status === 0) passed++;
  else {
    failed++;
    broken.push(name);
  }
}

console.log(broken.length === 0 ? '' : `\nfailed: ${broken.join(', ')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
