import { DecodeError, shown, string } from '../../core/decode.js';
import type { Limit } from '../../core/model/limit.js';
import { oneOf, whole } from './checks.js';

const MAX_REQUESTS = 1_000_000_000;
/** The longest year. */
const MAX_PER_MS = 366 * 86_400_000;

const ALGORITHMS = ['token_bucket', 'fixed_window', 'sliding_window', 'sliding_log'] as const;
const PERIODS = ['minute', 'hour', 'day', 'week', 'month', 'year'] as const;
export const LIMIT_KEYS = ['requests', 'perMs', 'algorithm', 'burst', 'per', 'timeZone'];

/** The limit that `LimitOptions` mean. Throws DecodeError. */
export function limit(o: Record<string, unknown>, path: string): Limit {
  const requests = whole(o['requests'], `${path}.requests`, 0, MAX_REQUESTS);
  if (o['per'] !== undefined) {
    for (const other of ['perMs', 'algorithm', 'burst'] as const) {
      if (o[other] !== undefined) throw new DecodeError(`${path}.${other}`, 'does not go with per: give one of them');
    }
    const timeZone = string(o['timeZone'] ?? 'UTC', `${path}.timeZone`);
    if (!isTimeZone(timeZone))
      throw new DecodeError(`${path}.timeZone`, `must be an IANA time zone, as Europe/Berlin, got ${shown(timeZone)}`);
    return { algorithm: 'calendar', requests, per: oneOf(o['per'], `${path}.per`, PERIODS), timeZone };
  }
  if (o['timeZone'] !== undefined)
    throw new DecodeError(`${path}.timeZone`, 'goes with per only, a part of the calendar');
  const perMs = whole(o['perMs'], `${path}.perMs`, 1, MAX_PER_MS);
  const algorithm = oneOf(o['algorithm'] ?? 'token_bucket', `${path}.algorithm`, ALGORITHMS);
  if (algorithm === 'token_bucket') {
    const burst = whole(o['burst'] ?? Math.max(1, requests), `${path}.burst`, 1, MAX_REQUESTS);
    return { algorithm, requests, perMs, burst };
  }
  if (o['burst'] !== undefined) throw new DecodeError(`${path}.burst`, 'goes with the algorithm token_bucket only');
  return { algorithm, requests, perMs };
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}
