#!/usr/bin/env node
/**
 * Sends mutated xDS resources through the whole client, then what identity reads (test/identity/fuzz) through its readers: "nothing that a control plane sends may throw outside the decoder".
 *
 *   node scripts/fuzz.mjs [--count N] [--seed S] [--from I]
 *
 * `--count`: resources to make; default 200,000, before a release 5,000,000. `--seed`: default 1; the same seed makes the same resources.
 * `--from`: the first to make, to repeat one that failed. Prints the seed, how many were accepted and refused, and the input that failed.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import { root } from './lib/project.mjs';

/** Threads at most; each takes a share of the resources. */
const MAX_THREADS = 4;
/** For so many resources, one input for each reader of identity. */
const IDENTITY_SHARE = 100;
/** Resources between two lines that say how far it is. */
const TELL_EVERY = 500_000;

const { values } = parseArgs({
  options: { count: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
});

function whole(name, otherwise) {
  const text = values[name];
  if (text === undefined) return otherwise;
  if (!/^\d{1,15}$/.test(text)) {
    console.error(`fuzz: --${name} must be a whole number, got "${text}"`);
    process.exit(2);
  }
  return Number(text);
}

const count = whole('count', 200_000);
const seed = whole('seed', 1);
const from = whole('from', 0);
console.log(`fuzz: --seed ${seed} --count ${count}${from === 0 ? '' : ` --from ${from}`}`);

// Bundled as for a release: what runs is what ships, and no module is loaded while it is watched how calls end.
const bundle = join(root, 'node_modules', '.cache', 'inmesh-fuzz', 'fuzz.mjs');
await build({
  entryPoints: [join(root, 'test/xds/resources/fuzz/fuzz.ts')],
  outfile: bundle,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
});

const made = [];
let told = 0;
function tell(thread, soFar) {
  made[thread] = soFar;
  const all = made.reduce((sum, share) => sum + share, 0);
  if (all < told + TELL_EVERY || all === count) return;
  told = all;
  console.log(`${all} of ${count}`);
}

/** Makes `share` resources from `first` on in a thread; resolves with what became of them. */
function run(thread, first, share) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./lib/fuzz-worker.mjs', import.meta.url), {
      workerData: { bundle: pathToFileURL(bundle).href, options: { seed, from: first, count: share } },
    });
    worker.on('message', ({ made: soFar, report }) => {
      tell(thread, soFar);
      if (report !== undefined) resolve(report);
    });
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`thread ${thread} ended with ${code} and no result`)));
  });
}

const threads = Math.max(1, Math.min(MAX_THREADS, availableParallelism(), Math.ceil(count / 1_000)));
const starts = Array.from({ length: threads + 1 }, (_, i) => from + Math.floor((count * i) / threads));
try {
  const reports = await Promise.all(starts.slice(0, -1).map((first, i) => run(i, first, starts[i + 1] - first)));
  const sum = (name) => reports.reduce((total, report) => total + report[name], 0);
  const share = (name) => `${sum(name)} (${((100 * sum(name)) / Math.max(1, count)).toFixed(1)} %)`;
  console.log(
    `${sum('made')} resources: ${share('accepted')} accepted, ${share('refused')} refused by a decoder, ` +
      `${share('malformed')} malformed; ${sum('calls')} calls`,
  );
} catch (error) {
  console.error(error);
  process.exit(1);
}

// One that is repeated is a resource.
if (from === 0) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const { status } = spawnSync(process.execPath, [vitest, 'run', 'test/identity/fuzz'], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      INMESH_FUZZ_IDENTITY: String(Math.ceil(count / IDENTITY_SHARE)),
      INMESH_FUZZ_SEED: String(seed),
    },
  });
  if (status !== 0) process.exit(1);
}
