import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Block, DOCS, pathOf, readDoc, type Section, sections } from './support/markdown.js';
import { available, Workspace } from './support/workspace.js';

/*
 * What readers copy is run as they would run it, document by document from top to bottom. A block whose first line names a file is
 * written to that file; a `sh` block is run; a `text` block after it is what it prints, with … for what differs from run to run.
 *
 * Notes before a block: `background` runs on until the document ends; `exits 1` fails as shown; `not run: …` names what tests or does the
 * same instead.
 */

const LANGUAGES = ['js', 'json', 'proto', 'sh', 'text', 'yaml', 'python'];

const documents = await Promise.all(DOCS.map(async (doc) => ({ doc, text: await readDoc(doc) })));

describe.each(documents.map(({ doc, text }) => ({ doc, parts: sections(text) })))('$doc', ({ doc, parts }) => {
  const blocks = parts.flatMap((part) => part.blocks);
  let workspace: Workspace;
  beforeAll(async () => {
    workspace = await Workspace.create(blocks.map((block) => block.text));
  });
  afterAll(() => workspace.close());

  test('every snippet is of a kind that is looked at, and every program in it is run', () => {
    const commands = blocks.filter(({ language }) => language === 'sh').map(({ text }) => text);
    for (const { language, file, note, line } of blocks) {
      const place = `${doc}:${line}`;
      expect(LANGUAGES, place).toContain(language);
      const elsewhere = /^not run: (.+)$/.exec(note ?? '')?.[1];
      if (elsewhere !== undefined) expect(existsSync(pathOf(elsewhere)), `${place}: ${elsewhere}`).toBe(true);
      else if (language === 'js')
        expect(commands.join(''), `${place}: nobody runs it`).toContain(file ?? 'a file name');
      else if (language === 'python') expect.fail(`${place}: say where it is tested`);
    }
  });

  test.each(parts.filter(runs))('$heading does what it says', { timeout: 120_000 }, async ({ blocks: part }) => {
    for (const [i, block] of part.entries()) {
      if (block.note?.startsWith('not run')) continue;
      if (block.file !== undefined) workspace.write(block.file, block.text);
      if (block.language !== 'sh' || missing(block)) continue;
      const next = part[i + 1];
      const printed = next?.language === 'text' ? next.text : '';
      if (block.note === 'background') {
        shows(await workspace.start(block.text.trim(), printed.trim().split('\n').length), printed, block);
        continue;
      }
      const { status, stdout, stderr } = await workspace.run(block.text);
      shows(stdout + stderr, printed, block);
      expect(status, `line ${block.line}: ${stderr}`).toBe(block.note === 'exits 1' ? 1 : 0);
    }
  });
});

const runs = ({ blocks }: Section): boolean =>
  blocks.some(({ language, note }) => language === 'sh' && !note?.startsWith('not run'));

/** Programs that are not Node's and not on every system. */
const missing = ({ text }: Block): boolean => text.startsWith('curl') && !available('curl');

function shows(actual: string, expected: string, { line }: Block): void {
  const pattern = expected
    .trim()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  expect(actual.trim(), `line ${line}`).toMatch(new RegExp(`^${pattern}$`));
}

test('every document that another one points to is there', async () => {
  for (const { doc, text } of documents) {
    for (const [, target] of text.matchAll(/\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)) {
      const path = doc.includes('/') ? `docs/${target}` : (target as string);
      expect(existsSync(pathOf(path)), `${doc} points to ${target}`).toBe(true);
    }
  }
});
