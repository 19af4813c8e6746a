import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compileText, formatProblem } from '../../src/controlplane/config.js';
import { BALANCERS } from '../../src/controlplane/yaml/schema/load-balancer.js';
import { pathOf, readDoc, sections, table } from './support/markdown.js';

const doc = await readDoc('docs/balancing.md');

test('every balancer that can be configured is among those to choose from', () => {
  expect(table(doc, 'Which policy').map(([name]) => name)).toEqual([...BALANCERS]);
});

test('plots and tables are what the results say (npm run plots)', () => {
  expect(() =>
    execFileSync(process.execPath, [pathOf('scripts/plots.mjs'), '--check'], { stdio: 'pipe' }),
  ).not.toThrow();
});

test('its YAML is without mistakes', () => {
  const blocks = sections(doc).flatMap((section) => section.blocks);
  expect(blocks.map(({ language }) => language)).toEqual(['yaml']);
  for (const { file, text } of blocks) {
    expect(compileText([{ name: file as string, text }]).problems.map(formatProblem)).toEqual([]);
  }
});

test('every file that it names or points to is there', () => {
  const named = [...doc.matchAll(/`((?:test|bench|src|scripts)\/[\w./-]+)`/g)].map(([, path]) => path as string);
  const linked = [...doc.matchAll(/\]\((?!https?:)([^)#\s]+)\)/g)].map(([, path]) => `docs/${path}`);
  expect(linked.length).toBeGreaterThan(5);
  for (const path of [...named, ...linked]) expect(existsSync(pathOf(path)), path).toBe(true);
});
