import { formatDuration } from '../duration.js';
import type { Path, Report } from '../problem.js';

export const DAY_MS = 24 * 3_600_000;

/** A duration in milliseconds that, when it is there, is from `min` to `max`. */
export function between(report: Report, path: Path, ms: number | undefined, min: number, max: number): void {
  if (ms === undefined || (ms >= min && ms <= max)) return;
  const expected = `from ${formatDuration(min)} to ${formatDuration(max)}`;
  report(path, `must be ${expected}, got ${formatDuration(ms)}`, { expected });
}
