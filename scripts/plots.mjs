#!/usr/bin/env node
/*
 * npm run plots [-- --check]
 *
 * Draws the plots of docs/balancing.md and writes its tables, from what `npm run bench` measured last. What they were made from is kept in
 * docs/img/balancing.json; --check makes them again from that, and fails when the documents say anything else.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plots, tables } from './lib/balancing-plots.mjs';
import { root } from './lib/project.mjs';

const check = process.argv.includes('--check');
const file = (...path) => join(root, ...path);
const kept = file('docs', 'img', 'balancing.json');
const doc = file('docs', 'balancing.md');

const { machine, results } = JSON.parse(readFileSync(check ? kept : file('bench', 'results', 'latest.json'), 'utf8'));
const { experiments, balancing, routing } = results;
const used = { machine, results: { experiments, balancing, routing } };

const written = new Map();
for (const [name, svg] of Object.entries(plots(used.results))) written.set(file('docs', 'img', name), svg);
let text = readFileSync(doc, 'utf8');
for (const [mark, table] of Object.entries({ ...tables(used.results), machine: `Machine: ${machine}.` })) {
  const place = new RegExp(`(<!-- ${mark} -->\n)[\\s\\S]*?(<!-- end -->)`);
  if (!place.test(text))
    throw new Error(`docs/balancing.md has no place for "${mark}": <!-- ${mark} --> … <!-- end -->`);
  text = text.replace(place, (_, start, end) => `${start}${table}\n${end}`);
}
written.set(doc, text);

if (check) {
  const stale = [...written].filter(([path, content]) => readFileSync(path, 'utf8') !== content).map(([path]) => path);
  for (const path of stale) console.error(`${path} is not what the results say: npm run plots`);
  process.exitCode = stale.length === 0 ? 0 : 1;
} else {
  mkdirSync(file('docs', 'img'), { recursive: true });
  writeFileSync(kept, `${JSON.stringify(used, null, 2)}\n`);
  for (const [path, content] of written) writeFileSync(path, content);
  console.log(`${written.size} files written`);
}
