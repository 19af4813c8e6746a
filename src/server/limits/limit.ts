import { DecodeError, shown, string } from '../../core/decode.js';
import type { Limit } from '../../core/model/limit.js';
import { oneOf, whole } from './checks.js';

const MAX_REQUESTS = 1_000_000_000;
/** The longest year. */
const MAX_PER_MS = 366 * 86_400_000;

const ALGORITHMS = ['token_bucket', 'fixed_window', 'sliding_window', 'sliding_log'] as const;
/** GEP-2257: one to four components, each one to five digits and a unit. As in YAML. */
const DURATION = /^(?:[0-9]{1,5}(?:h|m|s|ms)){1,4}$/;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const PERIODS = ['minute', 'hour', 'day', 'week', 'month', 'year'] as const;
export const LIMIT_KEYS = ['requests', 'perMs', 'algorithm', 'burst', 'per', 'timeZone'];

/** The limit that `LimitOptions` mean. Throws DecodeError. */
export function limit(o: Record<string, unknown>, path: string): Limit {
  const requests = whole(o['requests'], `${path}.requests`, 0, MAX_REQUESTS);
  const { per } = o;
  if (per !== undefined && o['perMs'] !== undefined)
    throw new DecodeError(`${path}.perMs`, 'does not go with per: give one of them');
  const isDuration = typeof per === 'string' && DURATION.test(per);
  if (per !== undefined && !isDuration) {
    if (!PERIODS.includes(per as (typeof PERIODS)[number]))
      throw new DecodeError(
        `${path}.per`,
        `must be a duration such as 10s or 1m, or one of ${PERIODS.join(', ')}, got ${shown(per)}`,
      );
    for (const other of ['algorithm', 'burst'] as const) {
      if (o[other] !== undefined)
        throw new DecodeError(`${path}.${other}`, 'does not go with a part of the calendar: give one of them');
    }
    const timeZone = string(o['timeZone'] ?? 'UTC', `${path}.timeZone`);
    if (!isTimeZone(timeZone))
      throw new DecodeError(`${path}.timeZone`, `must be an IANA time zone, as Europe/Berlin, got ${shown(timeZone)}`);
    return { algorithm: 'calendar', requests, per: per as (typeof PERIODS)[number], timeZone };
  }
  if (o['timeZone'] !== undefined)
    throw new DecodeError(`${path}.timeZone`, 'goes with per only, a part of the calendar');
  const perMs = isDuration
    ? whole(millis(per), `${path}.per`, 1, MAX_PER_MS)
    : whole(o['perMs'], `${path}.perMs`, 1, MAX_PER_MS);
  const algorithm = oneOf(snake(o['algorithm'] ?? 'token_bucket'), `${path}.algorithm`, ALGORITHMS);
  if (algorithm === 'token_bucket') {
    const burst = whole(o['burst'] ?? Math.max(1, requests), `${path}.burst`, 1, MAX_REQUESTS);
    return { algorithm, requests, perMs, burst };
  }
  if (o['burst'] !== undefined) throw new DecodeError(`${path}.burst`, 'goes with the algorithm token_bucket only');
  return { algorithm, requests, perMs };
}

/** YAML writes `slidingWindow`. */
const snake = (name: unknown): unknown =>
  typeof name === 'string' ? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name;

/** Milliseconds of a text that matches `DURATION`. */
function millis(text: string): number {
  let total = 0;
  for (const [, digits, unit] of text.matchAll(/([0-9]+)(ms|h|m|s)/g))
    total += Number(digits) * (UNIT_MS[unit as string] as number);
  return total;
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
