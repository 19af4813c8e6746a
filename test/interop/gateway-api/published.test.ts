import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PUBLISHED } from './published.js';

const FOLDER = join('test', 'interop', 'gateway-api');

test('what is said to be run of Gateway API’s conformance suite is run', async () => {
  const files = (await readdir(FOLDER)).filter((name) => name.endsWith('.ts') && !name.startsWith('published'));
  const text = (await Promise.all(files.map((name) => readFile(join(FOLDER, name), 'utf8')))).join('\n');
  const titles = Object.values(PUBLISHED).flatMap((standing) => ('run' in standing ? [standing.run] : []));
  expect(titles.filter((title) => !text.includes(`'${title}'`))).toEqual([]);
  expect(titles.length).toBeGreaterThan(Object.keys(PUBLISHED).length / 2);
});
