import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pathOf, readDoc } from './support/markdown.js';

const doc = await readDoc('docs/xds.md');
const cited = [...doc.matchAll(/`((?:test|scripts)\/[\w./-]+)`(?: “([^”]+)”)?/g)].map(([, file, title]) => ({
  file: file as string,
  title,
}));

describe('docs/xds.md', () => {
  test('cites tests by the dozen', () => {
    expect(cited.length).toBeGreaterThan(40);
  });

  test.each(cited)('$file is there, with $title', ({ file, title }) => {
    expect(existsSync(pathOf(file)), file).toBe(true);
    if (title !== undefined) expect(readFileSync(pathOf(file), 'utf8')).toContain(title);
  });
});
