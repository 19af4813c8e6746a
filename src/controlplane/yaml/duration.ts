/** GEP-2257: one to four components, each one to five digits and a unit. */
export const DURATION_PATTERN = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/;

/** A duration, or a part of the calendar. */
export const PERIOD_PATTERN = /^(([0-9]{1,5}(h|m|s|ms)){1,4}|minute|hour|day|week|month|year)$/;

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** Milliseconds of a text that matches `DURATION_PATTERN`: the sum of its components, in whatever order. */
export function parseDuration(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g)) {
    total += Number(digits) * (UNIT_MS[unit as string] as number);
  }
  return total;
}

/** The standard form: descending units, each at most once; `0s` for nothing. Whole milliseconds. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  let rest = ms;
  let text = '';
  for (const unit of ['h', 'm', 's', 'ms']) {
    const size = UNIT_MS[unit] as number;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}
