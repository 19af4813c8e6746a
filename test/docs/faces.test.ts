import { expect, test } from 'vitest';
import { readDoc } from './support/markdown.js';
import { constantOf, filesBelow, membersOf, parse } from './support/sources.js';

const fetchDoc = await readDoc('docs/fetch.md');
const grpcDoc = await readDoc('docs/grpc.md');
const readme = await readDoc('README.md');

/** First cells of the table that begins with a given cell. */
const column = (text: string, head: string): string[] =>
  [...(text.split(`| ${head} |`)[1]?.split('\n\n')[0] ?? '').matchAll(/^\| `([^`]+)`/gm)].map(
    ([, cell]) => cell as string,
  );

test('what init.mesh takes is documented, and nothing else', () => {
  expect(column(fetchDoc, '`init.mesh`')).toEqual(membersOf('src/client/fetch/request.ts', 'MeshOptions'));
});

test('the channel options that are read are documented, and no other', () => {
  const read = filesBelow('src/client/grpc').flatMap((file) =>
    [...parse(file).text.matchAll(/options\['(grpc\.[\w.]+)'\]/g)].map(([, name]) => name as string),
  );
  expect(column(grpcDoc, 'channel option').sort()).toEqual([...new Set(read)].sort());
});

test('limits of decompression are those of the code', () => {
  expect(fetchDoc).toContain('more than two hundredfold, beyond 64 MiB');
  expect(constantOf('src/client/fetch/decode.ts', 'MAX_RATIO')).toBe(200);
  expect(constantOf('src/client/fetch/decode.ts', 'RATIO_FREE_BYTES')).toBe(64 * 2 ** 20);
});

test('the quick starts have ten statements or fewer', () => {
  for (const name of ['quick-fetch.mjs', 'quick-grpc.mjs']) {
    const program = readme.split(`// ${name}\n`)[1]?.split('\n```')[0] ?? '';
    const statements = program.split('\n').filter((line) => /^[^\s})/]/.test(line) && !line.startsWith('import '));
    expect(statements.length, program).toBeGreaterThan(3);
    expect(statements.length, program).toBeLessThanOrEqual(10);
  }
});
