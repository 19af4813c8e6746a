#!/usr/bin/env node
/*
 * npm run plots [-- --check]
 *
 * Draws the plots of docs/balancing.md and docs/performance.md and writes their tables, from what `npm run bench` measured last. What they were made from is
 * kept in docs/img, a JSON file for each; --check makes them again from that, and fails when the documents say anything else.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as balancing from './lib/balancing-plots.mjs';
import * as performance from './lib/performance-plots.mjs';
import { root } from './lib/project.mjs';

const check = process.argv.includes('--check');
const file = (...path) => join(root, ...path);

/** By document: what makes its plots and tables, and what of the results it is made from. */
const DOCUMENTS = {
  balancing: {
    made: balancing,
    used: ({ experiments: { overload, ...experiments }, balancing, routing }) => ({ experiments, balancing, routing }),
  },
  performance: { made: performance, used: ({ experiments: { overload } }) => ({ overload }) },
};

const latest = check ? undefined : JSON.parse(readFileSync(file('bench', 'results', 'latest.json'), 'utf8'));
const written = new Map();
for (const [name, { made, used }] of Object.entries(DOCUMENTS)) {
  const kept = file('docs', 'img', `${name}.json`);
  const { machine, results } = check
    ? JSON.parse(readFileSync(kept, 'utf8'))
    : { machine: latest.machine, results: used(latest.results) };
  const doc = file('docs', `${name}.md`);
  for (const [image, svg] of Object.entries(made.plots(results))) written.set(file('docs', 'img', image), svg);
  let text = readFileSync(doc, 'utf8');
  for (const [mark, table] of Object.entries({ ...made.tables(results), machine: `Machine: ${machine}.` })) {
    const place = new RegExp(`(<!-- ${mark} -->\n)[\\s\\S]*?(<!-- end -->)`);
    if (place.test(text)) text = text.replace(place, (_, start, end) => `${start}${table}\n${end}`);
    // Not every document measures the machine.
    else if (mark !== 'machine')
      throw new Error(`docs/${name}.md has no place for "${mark}": <!-- ${mark} --> … <!-- end -->`);
  }
  written.set(doc, text);
  if (!check) written.set(kept, `${JSON.stringify({ machine, results }, null, 2)}\n`);
}

if (check) {
  const stale = [...written].filter(([path, content]) => readFileSync(path, 'utf8') !== content).map(([path]) => path);
  for (const path of stale) console.error(`${path} is not what the results say: npm run plots`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  mkdirSync(file('docs', 'img'), { recursive: true });
  for (const [path, content] of written) writeFileSync(path, content);
  console.log(`${written.size} files written`);
}
