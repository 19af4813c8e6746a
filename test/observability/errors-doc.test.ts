import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { ERROR_CODES } from '../../src/core/errors.js';
import { tableRows } from '../support/doc-tables.js';

const root = new URL('../../', import.meta.url);
const doc = await readFile(new URL('docs/errors.md', root), 'utf8');
const source = await readFile(new URL('src/core/errors.ts', root), 'utf8');

/** Every class that extends MeshError, by its source: what it fixes of code, origin, reached, flag and statuses. */
async function errorClasses() {
  const files = (await readdir(new URL('src/', root), { recursive: true })).filter((name) => name.endsWith('.ts'));
  const texts = await Promise.all(files.map((name) => readFile(new URL(`src/${name}`, root), 'utf8')));
  return texts
    .flatMap((text) => [...text.matchAll(/class (\w+) extends MeshError \{([\s\S]*?)\n\}/g)])
    .map(([, name, body]) => {
      const fixed = (property: string): string | undefined =>
        new RegExp(`readonly ${property} = '?([\\w]+)'?`).exec(body as string)?.[1];
      return {
        name: name as string,
        code: fixed('code'),
        cells: ['origin', 'reached', 'flag', 'grpcStatus', 'httpStatus'].map(fixed),
      };
    });
}

test('every code has a row, and every row is a code', () => {
  expect(tableRows(doc, 'Codes').map(([code]) => code)).toEqual([...ERROR_CODES]);
});

test('every row says what to do', () => {
  for (const row of tableRows(doc, 'Codes')) {
    expect(row.length, row[0]).toBe(8);
    for (const cell of row) expect(cell, row[0]).not.toBe('');
  }
});

test('every response flag has a row, and every row is a flag', () => {
  const type = source.slice(source.indexOf('export type ResponseFlag'), source.indexOf('export abstract class'));
  const flags = [...type.matchAll(/\| '(\w+)'/g)].map(([, flag]) => flag);
  expect(tableRows(doc, 'Response flags').map(([flag]) => flag)).toEqual(flags);
});

test('every code that servers and the proxy answer with, and no error has, has a row, and every row is one', async () => {
  const files = (await readdir(new URL('src/', root), { recursive: true })).filter((name) =>
    /^(server|proxy)\/.*\.ts$/.test(name),
  );
  const texts = await Promise.all(files.map((name) => readFile(new URL(`src/${name}`, root), 'utf8')));
  const codes = texts.flatMap((text) =>
    [...text.matchAll(/(?:code: |downstream\(\s*\d+,\s*|BAD_REQUEST = )'([A-Z][A-Z0-9_]+)'/g)].map(([, code]) => code),
  );
  // The answer to a browser's preflight is no refusal, and names no code.
  const own = [...new Set(codes)].filter((code) => code !== 'PREFLIGHT' && !ERROR_CODES.includes(code as never));
  expect(
    tableRows(doc, 'Refusals of a server')
      .map(([code]) => code)
      .sort(),
  ).toEqual(own.sort());
});

test('origin, reached, flag and statuses of every error class are as the table says', async () => {
  const table = new Map(tableRows(doc, 'Codes').map((row) => [row[0], row.slice(2, 7)]));
  const classes = await errorClasses();
  expect(classes.length).toBeGreaterThan(10);
  for (const { name, code, cells } of classes) {
    const documented = table.get(code as string) ?? [];
    expect(documented, `${name} has a code that is not documented`).not.toEqual([]);
    cells.forEach((value, i) => {
      if (value === undefined) return;
      const allowed = (documented[i] as string).split(/[ ,]+/);
      expect(allowed, `${name}: ${value} is not in the table`).toContain(value);
    });
  }
});
