#!/usr/bin/env node
/**
 * `npm test [-- vitest arguments]`: gets everything ready, runs the tests, and ends with one line, `N passed, N failed`, from vitest's
 * own record. Exit code 1 when anything failed, or nothing ran.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { provideExtras } from './lib/extras.mjs';
import { cache, prepare, root, runNode } from './lib/project.mjs';

prepare();
const { env, missing } = provideExtras();

mkdirSync(cache, { recursive: true });
const record = join(cache, 'test-results.json');
rmSync(record, { force: true });
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${record}`];
const exitCode = await runNode([vitest, 'run', ...reporters, ...process.argv.slice(2)], env);

let result;
try {
  result = JSON.parse(readFileSync(record, 'utf8'));
} catch (error) {
  console.log(`vitest left no record of its run (exit code ${exitCode}): ${error.message}`);
  console.log('0 passed, 1 failed');
  process.exit(1);
}

const tests = result.testResults.flatMap((file) => file.assertionResults);
const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
// A file that does not load fails without a test of its own.
const broken = result.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
const failed = result.numFailedTests + broken.length;

if (skipped.length > 0) {
  console.log(`${skipped.length} left out:`);
  for (const test of skipped) console.log(`  ${test.fullName}`);
}
for (const reason of missing) console.log(`not available: ${reason}`);
if (exitCode !== 0 && failed === 0) console.log(`vitest failed outside of tests (exit code ${exitCode}); see above`);
const failures = failed + (exitCode !== 0 && failed === 0 ? 1 : 0);
console.log(`${result.numPassedTests} passed, ${failures} failed`);
process.exitCode = failures > 0 || result.numPassedTests === 0 ? 1 : 0;
