import { expect, test } from 'vitest';
import { REFUSED, supportedCommands } from '../../src/routing/format/commands.js';
import { readDoc } from './support/markdown.js';

const doc = await readDoc('docs/xds.md');
const section = /### Formats in headers\n([\s\S]*?)\n### /.exec(doc)?.[1] ?? '';
const codes = (text: string): string[] =>
  [...text.matchAll(/`([A-Z_0-9]+)`/g)].map(([, name]) => name as string).sort();

test('the commands that have a value in headers are listed, and those that are refused', () => {
  const paragraphs = section.trim().split('\n\n');
  expect(codes(paragraphs[1] ?? '')).toEqual([...supportedCommands(), 'COALESCE'].sort());
  expect(codes((paragraphs[2] ?? '').split('All other')[0] as string)).toEqual([...REFUSED.keys()].sort());
});
