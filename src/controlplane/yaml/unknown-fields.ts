import type * as v from 'valibot';
import { nearest } from '../../core/decode.js';
import type { Path, Report } from './problem.js';

type Schema = v.GenericSchema & {
  readonly entries?: Readonly<Record<string, Schema>>;
  readonly wrapped?: Schema;
  readonly item?: Schema;
  readonly options?: readonly Schema[];
};

/** Reports every field that its schema does not have (valibot's strict objects stop at the first). */
export function reportUnknownFields(schema: v.GenericSchema, value: unknown, report: Report): void {
  visit(schema as Schema, value, [], report);
}

function visit(schema: Schema, value: unknown, path: Path, report: Report): void {
  if (typeof value !== 'object' || value === null) return;
  if (schema.wrapped !== undefined) {
    visit(schema.wrapped, value, path, report);
    return;
  }
  if (schema.options !== undefined) {
    // Our unions hold at most one object: the others are texts and numbers.
    const option = schema.options.find((candidate) => typeof candidate === 'object' && candidate.entries !== undefined);
    if (option !== undefined) visit(option, value, path, report);
    return;
  }
  if (Array.isArray(value)) {
    const item = schema.item;
    if (item === undefined) return;
    for (const [index, element] of value.entries()) visit(item, element, [...path, index], report);
    return;
  }
  if (schema.entries === undefined) return;
  const known = Object.keys(schema.entries);
  for (const [key, field] of Object.entries(value)) {
    const entry = Object.hasOwn(schema.entries, key) ? schema.entries[key] : undefined;
    if (entry !== undefined) {
      visit(entry, field, [...path, key], report);
      continue;
    }
    const near = nearest(key, known);
    const hint = near === undefined ? `known: ${known.join(', ')}` : `did you mean "${near}"?`;
    report([...path, key], `unknown field; ${hint}`, {
      expected: known.join(', '),
      ...(near !== undefined && { nearest: near }),
    });
  }
}
