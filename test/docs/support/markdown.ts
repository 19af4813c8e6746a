import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

export const root = new URL('../../../', import.meta.url);

/** Text of a document of the repository, by its path from the root. */
export const readDoc = (path: string): Promise<string> => readFile(new URL(path, root), 'utf8');

/** The same as a path that programs take. */
export const pathOf = (path: string): string => fileURLToPath(new URL(path, root));

/** Documents whose snippets are run. */
export const DOCS = [
  'README.md',
  'docs/architecture.md',
  'docs/configuration.md',
  'docs/fetch.md',
  'docs/from-envoy-and-istio.md',
  'docs/grpc.md',
  'docs/policies.md',
  'docs/rate-limit-service.md',
  'docs/security.md',
] as const;

/** A fenced block. */
export interface Block {
  /** `js`, `yaml`, `sh`, `text`, … */
  readonly language: string;
  readonly text: string;
  /** What the first line names in a comment: `// app.mjs`, `# mesh.yaml`. */
  readonly file: string | undefined;
  /** An HTML comment on the line before the fence, which readers do not see. */
  readonly note: string | undefined;
  /** Number of the fence's line, from 1. */
  readonly line: number;
}

export interface Section {
  readonly heading: string;
  readonly blocks: readonly Block[];
}

const FENCE = /^```(\w*)$/;
const FILE = /^(?:\/\/|#) ([\w./-]+\.\w+)$/;

/** The fenced blocks of a text, by the heading they stand under. */
export function sections(text: string): Section[] {
  const found: { heading: string; blocks: Block[] }[] = [{ heading: 'top', blocks: [] }];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const heading = /^#{1,3} (.+)$/.exec(lines[at] as string);
    if (heading !== null) found.push({ heading: heading[1] as string, blocks: [] });
    const open = FENCE.exec(lines[at] as string);
    if (open === null) continue;
    const end = lines.indexOf('```', at + 1);
    if (end === -1) throw new Error(`line ${at + 1}: the fence is not closed`);
    const body = lines.slice(at + 1, end);
    found.at(-1)?.blocks.push({
      language: open[1] as string,
      text: `${body.join('\n')}\n`,
      file: FILE.exec(body[0] ?? '')?.[1],
      note: /^<!-- (.+) -->$/.exec(lines[at - 1] ?? '')?.[1],
      line: at + 1,
    });
    at = end;
  }
  return found.filter(({ blocks }) => blocks.length > 0);
}

/** Rows of the first table under a heading, cell by cell, without backquotes. */
export function table(text: string, heading: string): string[][] {
  const prose = text.replace(/^```[\s\S]*?^```$/gm, '');
  const section = prose.split(new RegExp(`^#{2,4} ${heading}\\n`, 'm'))[1]?.split(/^#{1,4} /m)[0] ?? '';
  const rows = /(?:^\|.*\n)+/m.exec(section)?.[0].trim().split('\n').slice(2);
  if (rows === undefined) throw new Error(`there is no table under "${heading}"`);
  return rows.map((row) =>
    row
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '').replaceAll('\\|', '|')),
  );
}
