import type { Limit } from '../../core/model/limit.js';
import { rlsUnitOf } from '../../core/rls.js';
import { type Message, UINT32_MAX } from './message.js';
import { onlyFields, requiredWhole } from './own-config.js';

/** A hundred years. */
export const MAX_PER_MS = 3_155_760_000_000;
/** A log remembers each request: more would be a way to use up memory with one key. */
const MAX_LOGGED = 100_000;
const MAX_ZONE = 64;

const ALGORITHMS = ['token_bucket', 'fixed_window', 'sliding_window', 'sliding_log', 'calendar'] as const;
const UNITS = ['minute', 'hour', 'day', 'week', 'month', 'year'] as const;

/** A limit that is told to a rate limit service, in the units that it has. */
export function serviceLimitOf(owner: Message, field: string): Limit {
  const limit = limitOf(owner, field);
  if (limit.algorithm === 'fixed_window' && rlsUnitOf(limit.perMs) !== undefined) return limit;
  throw owner.error(
    field,
    'must be a fixed_window of a second, minute, hour, day, week, month (30 days) or year (365 days) with the store rls',
  );
}

/** `limit` of a rule of ours: see `ownLimits`. */
export function limitOf(owner: Message, field: string): Limit {
  const limit = owner.required(field);
  const algorithm = limit.choice('algorithm', ALGORITHMS);
  const own = algorithm === 'calendar' ? ['per', 'time_zone'] : ['per_ms'];
  onlyFields(limit, ['algorithm', 'requests', ...own, ...(algorithm === 'token_bucket' ? ['burst'] : [])]);
  const max = algorithm === 'sliding_log' ? MAX_LOGGED : UINT32_MAX;
  const requests = requiredWhole(limit, 'requests', { min: 0, max });
  if (algorithm === 'calendar') {
    if (!limit.has('per')) throw limit.error('per', `must be set to one of ${UNITS.join(', ')}`);
    return { algorithm, requests, per: limit.choice('per', UNITS), timeZone: timeZone(limit) };
  }
  const perMs = requiredWhole(limit, 'per_ms', { min: 1, max: MAX_PER_MS });
  if (algorithm !== 'token_bucket') return { algorithm, requests, perMs };
  const burst = limit.has('burst') ? requiredWhole(limit, 'burst', { min: 1, max: UINT32_MAX }) : Math.max(1, requests);
  return { algorithm, requests, perMs, burst };
}

function timeZone(limit: Message): string {
  const zone = limit.has('time_zone') ? limit.requiredText('time_zone') : 'UTC';
  if (zone.length > MAX_ZONE || !isTimeZone(zone, limit))
    throw limit.error('time_zone', `must be an IANA time zone such as Europe/Berlin, got "${zone.slice(0, 80)}"`);
  return zone;
}

function isTimeZone(zone: string, limit: Message): boolean {
  if (zone === 'UTC') return true;
  // To look it up takes as long as to read so many values.
  limit.spend(50);
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
