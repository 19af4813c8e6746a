import { shown } from '../../../core/decode.js';
import type { Path, Report } from '../problem.js';

/** As deep as the decoder reads it. */
const MAX_DEPTH = 32;

/** What `google.protobuf.Struct` can hold: JSON. */
export function checkPlain(value: unknown, at: Path, report: Report, depth = 0): void {
  if (depth > MAX_DEPTH) report(at, `must not be nested more than ${MAX_DEPTH} deep`);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value))
      checkPlain(inner, [...at, Array.isArray(value) ? Number(key) : key], report, depth + 1);
  } else if (typeof value === 'number' && !Number.isFinite(value)) {
    report(at, `must be a finite number, got ${shown(String(value))}`);
  }
}
