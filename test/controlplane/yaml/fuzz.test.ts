import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stringify, parseAllDocuments } from 'yaml';
import { type CompileResult, compileText, formatProblem } from '../../../src/controlplane/config.js';
import { RESOURCE_TYPES } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { bookinfo, everything } from '../../support/mesh-examples.js';
import { requestPolicies } from '../../support/mesh-requests.js';

const RUNS = 300;
/** Of a test, in milliseconds: each run compiles a whole mesh, on machines that may have other things to do. */
const TIMEOUT = 180_000;

/** Either all of it is right, and then every resource is one that the decoder takes; or there are mistakes, each with a place. */
function sound(result: CompileResult, lines: number): void {
  for (const problem of result.problems) {
    expect(problem.message).not.toBe('');
    expect(problem.line).toBeGreaterThan(0);
    expect(problem.line).toBeLessThanOrEqual(lines + 1);
    expect(problem.column).toBeGreaterThan(0);
    expect(formatProblem(problem).split('\n').length).toBe(1);
  }
  for (const type of RESOURCE_TYPES) {
    if (result.problems.length > 0) expect(result.resources[type].size).toBe(0);
    for (const [name, resource] of result.resources[type]) decoders[type](resource, name);
  }
}

const compiled = (text: string): void => sound(compileText([{ name: 'f.yaml', text }]), text.split('\n').length);

describe('whatever is written', () => {
  test('text that is cut, doubled, or has characters exchanged', { timeout: TIMEOUT }, () => {
    const piece = fc.constantFrom(
      '[',
      ']',
      '{',
      '}',
      ':',
      '- ',
      '\n',
      '"',
      '&a ',
      '*a',
      '!!',
      '|',
      '>',
      '#',
      '? ',
      '%',
      '---\n',
      '\t',
      '\u0000',
      '0',
      '~',
      '.inf',
      '<<: ',
    );
    const edit = fc.record({
      at: fc.nat(5_000),
      remove: fc.nat(12),
      insert: fc.oneof(piece, fc.string({ maxLength: 4 })),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(bookinfo, everything, requestPolicies),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        (source, edits) => {
          let text = source;
          for (const { at, remove, insert } of edits) {
            const from = at % text.length;
            text = text.slice(0, from) + insert + text.slice(from + remove);
          }
          compiled(text);
        },
      ),
      { numRuns: RUNS },
    );
  });

  const samplesOf = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as unknown);
  const samples = [everything, requestPolicies].map(samplesOf);
  const value = fc.oneof(
    fc.constantFrom(
      null,
      true,
      0,
      -1,
      1e21,
      0.5,
      '',
      'a',
      '/',
      '10.0.0.1:1',
      '1s',
      [],
      {},
      [null],
      { a: 1 },
      'Service',
      'default',
      'b',
      99_999,
    ),
    fc.string({ maxLength: 8 }),
    fc.integer(),
  );

  test('documents of which one value is another', { timeout: TIMEOUT }, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(fc.tuple(fc.nat(10_000), value), { minLength: 1, maxLength: 3 }),
        (sample, edits) => {
          const copy = structuredClone(sample);
          for (const [at, replacement] of edits) replaceNth(copy, at, replacement);
          compiled(copy.map((document) => stringify(document)).join('---\n'));
        },
      ),
      { numRuns: RUNS },
    );
  });

  test('text of any kind', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => compiled(text)),
      { numRuns: RUNS },
    );
  });
});

/** Puts `replacement` in the place of the n-th value in `root`, counted over all that there are. */
function replaceNth(root: unknown, n: number, replacement: unknown): void {
  const places: [Record<string, unknown>, string][] = [];
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push([node as Record<string, unknown>, key]);
      visit((node as Record<string, unknown>)[key]);
    }
  };
  visit(root);
  const place = places[n % places.length];
  if (place !== undefined) place[0][place[1]] = replacement;
}
