import { existsSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LAYERS } from '../../lint/layers.mjs';
import { pathOf, readDoc, table } from './support/markdown.js';
import { declaredNames, filesBelow, parse } from './support/sources.js';

const doc = await readDoc('docs/architecture.md');

const steps = ['The way of one call', 'The way of one change'].flatMap((heading) => table(doc, heading));

describe('the way of a call and of a change', () => {
  test.each(steps)('step %s: %s has %s', (_step, file, names, what) => {
    const declared = declaredNames(file as string);
    for (const name of (names as string).split(', ')) expect([...declared]).toContain(name);
    // Neighbours that are named without their folder.
    for (const [neighbour] of (what as string).matchAll(/(?<![\w/-])[\w-]+\.ts\b/g)) {
      expect(existsSync(pathOf(`${dirname(file as string)}/${neighbour}`)), neighbour).toBe(true);
    }
  });

  test('every file that is named is there', () => {
    const named = [...doc.matchAll(/`((?:src|lint)\/[\w./-]+)`/g)].map(([, path]) => path as string);
    expect(named.length).toBeGreaterThan(30);
    for (const path of named) expect(existsSync(pathOf(path)), path).toBe(true);
  });

  test('every name in code style is declared somewhere in src/, or is of the language or of a library', () => {
    const declared = new Set(
      filesBelow('src')
        .filter((file) => /\.ts$/.test(file))
        .flatMap((file) => [...declaredNames(file)]),
    );
    const elsewhere = new Set(['Channel', 'Service', 'node:http2']);
    const names = [...doc.matchAll(/`([A-Za-z]\w+)`/g)].map(([, name]) => name as string);
    const folders = new Set(Object.keys(LAYERS));
    for (const name of names) expect(declared.has(name) || elsewhere.has(name) || folders.has(name), name).toBe(true);
  });

  test('the filters stand in src/client/stack.ts in the order of the steps', () => {
    const text = parse('src/client/stack.ts').text;
    const inOrder = [
      'observe(',
      'callDeadline(',
      'ownFallback(',
      'routeDeadline(',
      'fallbacks(',
      'retries(',
      'attemptTimeout(',
      'drops(',
      'requestLimit(',
      'breaking(',
      'carryDeadline(',
    ];
    const places = inOrder.map((filter) => text.indexOf(` ${filter}`));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });
});

describe('folders', () => {
  const rows = table(doc, 'Folders');

  test('every folder and entry point of src/ is in the table', () => {
    const present = readdirSync(pathOf('src')).map((name) => name.replace(/\.ts$/, ''));
    expect(rows.map(([folder]) => folder)).toEqual(expect.arrayContaining(present));
  });

  test('directions of imports are those that lint holds the code to', () => {
    const documented = rows.map(([folder, , imports]) => [folder, expand(imports as string)]);
    expect(Object.fromEntries(documented)).toEqual(LAYERS);
  });
});

/** `as mesh, proxy` is all that `mesh` may import, and `proxy`. */
function expand(imports: string): string[] {
  return imports
    .split(', ')
    .filter((name) => name !== '')
    .flatMap((name) => (name.startsWith('as ') ? [...(LAYERS[name.slice(3)] ?? [])] : [name]));
}

test('it stays on one page', () => {
  expect(doc.split('\n').length).toBeLessThan(100);
});
