import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pathToFileURL } from 'node:url';
import { pathOf, readDoc, table } from './support/markdown.js';
import { constantOf } from './support/sources.js';

const doc = await readDoc('docs/policies.md');
const headings = [...doc.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading as string);
const rows = headings.flatMap((heading) =>
  table(doc, heading).map(([what, value, constant]) => ({ what, value, constant })),
);

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, KiB: 1_024, MiB: 1_048_576 };

/** What the table's words stand for in code: times in milliseconds, sizes in bytes. */
function meant(value: string): unknown {
  const measured = /^([\d.,]+)(?: (ms|s|min|KiB|MiB))?$/.exec(value);
  if (measured !== null) return Number(measured[1]?.replaceAll(',', '')) * (UNITS[measured[2] ?? 'ms'] as number);
  if (value === 'no') return false;
  if (value === 'yes') return true;
  return value.includes(', ') ? value.split(', ') : value;
}

test.each(rows)('$what: $value', async ({ value, constant }) => {
  const [file, name] = (constant as string).split(': ') as [string, string];
  const actual = await codeValue(file, name);
  if (value === 'none') expect([undefined, Number.POSITIVE_INFINITY]).toContain(actual);
  else expect(actual).toEqual(meant(value as string));
});

/** Of an exported constant the value that the program has; of one that is a file's own, what its source says. */
async function codeValue(file: string, name: string): Promise<unknown> {
  expect(existsSync(pathOf(file)), file).toBe(true);
  const [variable, ...properties] = name.split('.') as [string, ...string[]];
  const exported = ((await import(pathToFileURL(pathOf(file)).href)) as Record<string, unknown>)[variable];
  if (exported === undefined) return constantOf(file, name);
  const value = properties.reduce<unknown>(
    (object, property) => (object as Record<string, unknown>)[property],
    exported,
  );
  return value instanceof Set ? [...value] : value;
}

describe('defaults of a policy', () => {
  const PINNED = [
    ...[
      'Deadlines',
      'Retries',
      'Retry budget',
      'Hedging',
      'Circuit limits',
      'Breaker',
      'Fallbacks',
      'Options of a call',
    ],
    ...['Rate limits', 'Faults', 'Shedding', 'Identity', 'Authorization and tokens'],
  ];

  test.each(PINNED)('of %s name the tests that pin them, which are there', (heading) => {
    const pins = /^(?:What pins them:|Pinned by) [\s\S]*?(?=\n\n|$)/m.exec(section(heading))?.[0] ?? '';
    let folder = '';
    const files = [...pins.matchAll(/`([\w./-]+)`/g)].flatMap(([, name]) => {
      const path = name as string;
      if (path.includes('/')) folder = path.endsWith('/') ? path : path.slice(0, path.lastIndexOf('/') + 1);
      return path.endsWith('.test.ts') ? [path.includes('/') ? path : folder + path] : [];
    });
    expect(files.length).toBeGreaterThan(0);
    expect(files.filter((file) => !existsSync(pathOf(file)))).toEqual([]);
  });

  const section = (heading: string): string => doc.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
});

test('every default has a source', () => {
  for (const heading of headings) {
    for (const row of table(doc, heading))
      expect(
        row.filter((cell) => cell !== ''),
        row[0],
      ).toHaveLength(4);
  }
});
