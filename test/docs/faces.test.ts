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
  const own = membersOf('src/client/fetch/mesh-options.ts', 'MeshOptions');
  const policies = membersOf('src/core/call-policy.ts', 'CallPolicyOptions');
  expect(column(fetchDoc, '`init.mesh`').sort()).toEqual([...own, ...policies].sort());
});

test('what meshMetadata takes is documented, and nothing else', () => {
  const own = membersOf('src/client/grpc/mesh-metadata.ts', 'GrpcCallOptions');
  const policies = membersOf('src/core/call-policy.ts', 'CallPolicyOptions');
  expect(column(grpcDoc, 'option of a call').sort()).toEqual([...own, ...policies].sort());
});

test('what a call can say of retries and hedging is documented, and nothing else', () => {
  const of = (name: string): string[] => membersOf('src/core/call-policy.ts', name);
  expect(column(fetchDoc, 'field of `retry`').sort()).toEqual(of('RetryOptions').sort());
  expect(column(fetchDoc, 'field of `hedge`').sort()).toEqual(of('HedgeOptions').sort());
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
