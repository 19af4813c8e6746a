import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pathOf, readDoc } from './support/markdown.js';
import { titlesOf } from './support/titles.js';

interface Citation {
  readonly file: string;
  /** Of a test or of a group: its own, or with those of its groups before it. */
  readonly title: string | undefined;
}

const citations = (text: string): Citation[] =>
  [...text.matchAll(/`((?:test|scripts)\/[\w./-]+)`(?: “([^”]+)”)?/g)].map(([, file, title]) => ({
    file: file as string,
    title,
  }));

const doc = await readDoc('docs/xds.md');
/** Rows that say what is obeyed and which test shows it. */
const rows = doc.split('\n').filter((line) => line.startsWith('| ') && citations(line).length > 0);
const titles = new Map<string, ReadonlySet<string>>();

function hasTest({ file, title }: Citation): boolean {
  let known = titles.get(file);
  if (known === undefined) {
    known = titlesOf(file);
    titles.set(file, known);
  }
  return title !== undefined && known.has(title);
}

describe('docs/xds.md', () => {
  test('cites tests by the dozen', () => {
    expect(citations(doc).length).toBeGreaterThan(40);
    expect(rows.length).toBeGreaterThan(30);
  });

  test('whatever is obeyed is shown by a test', () => {
    const bare = doc.split('\n').filter((line) => line.includes('| ✓ |') && citations(line).length === 0);
    expect(bare).toEqual([]);
  });

  test.each(citations(doc))('$file is there', ({ file }) => {
    expect(existsSync(pathOf(file)), file).toBe(true);
  });

  test.each(rows)('%s: each file with the whole title of a test in it', (row) => {
    for (const citation of citations(row)) expect([citation, hasTest(citation)]).toEqual([citation, true]);
  });

  test('titles in the text are those of tests', () => {
    const cited = citations(doc).filter(({ title }) => title !== undefined);
    expect(cited.filter((citation) => !hasTest(citation))).toEqual([]);
  });
});
