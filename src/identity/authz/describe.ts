import type { AuthzCondition, TimeWindow } from '../../core/model/authorization.js';
import type { HeaderMatch, StringMatch } from '../../core/model/match.js';

/** Conditions in words, for people who ask why. */
export function describe(condition: AuthzCondition): string {
  switch (condition.kind) {
    case 'and':
    case 'or':
      return condition.of.length === 1
        ? describe(condition.of[0] as AuthzCondition)
        : `(${condition.of.map(describe).join(` ${condition.kind} `)})`;
    case 'not':
      return `not ${describe(condition.of)}`;
    case 'any':
      return 'anything';
    case 'header':
      return header(condition.header);
    case 'path':
      return `path ${text(condition.match)}`;
    case 'destination-ip':
      return `own address in ${condition.range.address}/${condition.range.prefixLength}`;
    case 'destination-port':
      return `port ${condition.port}`;
    case 'peer-ip':
      return `connection from ${condition.range.address}/${condition.range.prefixLength}`;
    case 'remote-ip':
      return `client in ${condition.range.address}/${condition.range.prefixLength}`;
    case 'server-name':
      return `server name ${text(condition.match)}`;
    case 'authenticated':
      return condition.name === undefined ? 'a TLS connection' : `principal ${text(condition.name)}`;
    case 'metadata':
      return condition.invert ? 'no metadata' : 'metadata (of which there is none)';
    case 'time':
      return time(condition.window);
    case 'claim':
      return `claim ${condition.path.join('.')} ${text(condition.match)}`;
    case 'request-principal':
      return `request principal ${text(condition.match)}`;
  }
}

function text(match: StringMatch): string {
  if (match.kind === 'regex') return `like /${match.regex.source}/`;
  const quoted = `"${match.value}"${match.ignoreCase ? ' in any case' : ''}`;
  return match.kind === 'exact' ? quoted : `${WORDS[match.kind]} ${quoted}`;
}

const WORDS = { prefix: 'that begins with', suffix: 'that ends in', contains: 'that contains' } as const;

function header({ name, match, invert, treatMissingAsEmpty }: HeaderMatch): string {
  const what = name === ':authority' || name === 'host' ? 'host' : name === ':method' ? 'method' : `header ${name}`;
  const not = invert ? 'not ' : '';
  const missing = treatMissingAsEmpty ? ', or none' : '';
  if (match.kind === 'present') return `${match.present === invert ? 'no ' : ''}${what}${missing}`;
  if (match.kind === 'range') return `${not}${what} from ${match.start} to below ${match.end}${missing}`;
  return `${not}${what} ${text(match)}${missing}`;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const clock = (minutes: number): string =>
  `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;

function time({ zone, weekdays, from, to, dates }: TimeWindow): string {
  const days = weekdays.length === 0 ? '' : ` on ${weekdays.map((day) => DAYS[day]).join(', ')}`;
  const on = dates.length === 0 ? '' : ` of ${dates.map((range) => `${range.from} to ${range.to}`).join(', ')}`;
  return `time ${clock(from)} to ${clock(to)}${days}${on} (${zone})`;
}
