#!/usr/bin/env node
/**
 * Sends mutated xDS resources through the whole client: "nothing that a control plane sends may throw outside the decoder".
 *
 *   node scripts/fuzz.mjs [--count N] [--seed S] [--from I]
 *
 * `--count`: resources to make; default 200,000, before a release 5,000,000. `--seed`: default 1; the same seed makes the same resources.
 * `--from`: the first to make, to repeat one that failed. Prints the seed, how many were accepted and refused, and the input that failed.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';

const { values } = parseArgs({
  options: { count: { type: 'string' }, seed: { type: 'string' }, from: { type: 'string' } },
});

function whole(name, otherwise) {
  const text = values[name];
  if (text === undefined) return otherwise;
  if (!/^\d+$/.test(text)) {
    console.error(`fuzz: --${name} must be a whole number, got "${text}"`);
    process.exit(2);
  }
  return Number(text);
}

const count = whole('count', 200_000);
const seed = whole('seed', 1);
const from = whole('from', 0);

// Bundled as for a release: what runs is what ships, and nothing is loaded while it is measured how things end.
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const outfile = join(root, 'node_modules', '.cache', 'inmesh-fuzz', 'fuzz.mjs');
await build({
  entryPoints: [join(root, 'test/xds/resources/fuzz/fuzz.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  packages: 'external',
  logLevel: 'warning',
});
const { fuzz, loadCodec } = await import(pathToFileURL(outfile).href);

// What is thrown where nobody waits for it breaks the rule as well.
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => {
    console.error(`fuzz: ${event} with --seed ${seed}:`, error);
    process.exit(1);
  });
}

const share = (part, of) => `${part} (${((100 * part) / of).toFixed(1)} %)`;
const describe = ({ made, accepted, refused, malformed, calls }) =>
  `${made} resources: ${share(accepted, made)} accepted, ${share(refused, made)} refused by a decoder, ` +
  `${share(malformed, made)} malformed; ${calls} calls`;

console.log(`fuzz: --seed ${seed} --count ${count}${from === 0 ? '' : ` --from ${from}`}`);
let told = 0;
try {
  const report = await fuzz({
    codec: await loadCodec(),
    seed,
    count,
    from,
    progress: (now) => {
      if (now.made < told + 500_000) return;
      told = now.made;
      console.log(describe(now));
    },
  });
  console.log(describe(report));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
