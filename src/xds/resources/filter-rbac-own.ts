import type { AuthzCondition, TimeWindow } from '../../core/model/authorization.js';
import type { Message } from './message.js';
import { boundedMessages, boundedText, onlyFields, requiredWhole } from './own-config.js';
import { stringMatch } from './string-match.js';

const MAX_ZONE = 64;
const MAX_DATES = 100;
const MAX_DEPTH = 8;
const DAY_MINUTES = 1_440;

/**
 * A TypedStruct of this type is an RBAC filter that Envoy's API has no words for: `{ rules, shadow_rules }` as in `extensions.filters.http.rbac.v3.RBAC`, whose permissions and
 * principals may also be:
 *
 * - `time`: `zone` (IANA), `weekdays` (`SUN` to `SAT`; none: every day), `from` and `to` (minutes of the day, 0 to 1440), `dates` (up to 100 of `from`, `to`: 2026-01-31).
 * - `claim`: `path` (1 to 8 names), `match` (a `StringMatcher`). `request_principal`: a `StringMatcher`.
 *
 * It is never optional: who does not know it must refuse the listener rather than let everybody in.
 */
export const OWN_RBAC = 'inmesh.dev/rbac';

export const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'] as const;

export function timeCondition(time: Message): AuthzCondition {
  onlyFields(time, ['zone', 'weekdays', 'from', 'to', 'dates']);
  const zone = boundedText(time, 'zone', MAX_ZONE);
  if (!isZone(zone)) throw time.error('zone', `must be a time zone such as Europe/Vienna, got "${zone}"`);
  const window: TimeWindow = {
    zone,
    weekdays: time.texts('weekdays').map((day) => {
      const index = (WEEKDAYS as readonly string[]).indexOf(day);
      if (index < 0) throw time.error('weekdays', `must be of ${WEEKDAYS.join(', ')}, got "${day.slice(0, 20)}"`);
      return index;
    }),
    from: requiredWhole(time, 'from', { min: 0, max: DAY_MINUTES - 1 }),
    to: requiredWhole(time, 'to', { min: 0, max: DAY_MINUTES }),
    dates: boundedMessages(time, 'dates', MAX_DATES).map((range) => {
      onlyFields(range, ['from', 'to']);
      return { from: date(range, 'from'), to: date(range, 'to') };
    }),
  };
  return { kind: 'time', window };
}

export function claimCondition(claim: Message): AuthzCondition {
  onlyFields(claim, ['path', 'match']);
  const path = claim.texts('path');
  if (path.length === 0 || path.length > MAX_DEPTH) throw claim.error('path', `must have 1 to ${MAX_DEPTH} names`);
  return { kind: 'claim', path, match: stringMatch(claim.required('match')) };
}

export const requestPrincipal = (matcher: Message): AuthzCondition => ({
  kind: 'request-principal',
  match: stringMatch(matcher),
});

function date(range: Message, field: 'from' | 'to'): string {
  const text = range.requiredText(field);
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || !isDate(text))
    throw range.error(field, `must be a date such as 2026-01-31, got "${text.slice(0, 20)}"`);
  return text;
}

/** One that the calendar has. */
function isDate(text: string): boolean {
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}
