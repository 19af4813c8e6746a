type Render = (date: Date, zone: Zone) => string;

/** The parts of a moment, in UTC or in the process's own time zone. */
export interface Zone {
  year(date: Date): number;
  month(date: Date): number;
  day(date: Date): number;
  weekday(date: Date): number;
  hour(date: Date): number;
  minute(date: Date): number;
  second(date: Date): number;
  /** Minutes east of UTC. */
  offset(date: Date): number;
}

export const UTC: Zone = {
  year: (date) => date.getUTCFullYear(),
  month: (date) => date.getUTCMonth(),
  day: (date) => date.getUTCDate(),
  weekday: (date) => date.getUTCDay(),
  hour: (date) => date.getUTCHours(),
  minute: (date) => date.getUTCMinutes(),
  second: (date) => date.getUTCSeconds(),
  offset: () => 0,
};

export const LOCAL: Zone = {
  year: (date) => date.getFullYear(),
  month: (date) => date.getMonth(),
  day: (date) => date.getDate(),
  weekday: (date) => date.getDay(),
  hour: (date) => date.getHours(),
  minute: (date) => date.getMinutes(),
  second: (date) => date.getSeconds(),
  offset: (date) => -date.getTimezoneOffset(),
};

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

const two = (value: number): string => String(value).padStart(2, '0');
const hour12 = (hour: number): number => hour % 12 || 12;

function offset(minutes: number, separator: string): string {
  const absolute = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(absolute / 60))}${separator}${two(absolute % 60)}`;
}

function dayOfYear(date: Date, zone: Zone): number {
  const day = Date.UTC(zone.year(date), zone.month(date), zone.day(date));
  return (day - Date.UTC(zone.year(date), 0, 1)) / 86_400_000 + 1;
}

/** Digits of a second's fraction; a clock here tells milliseconds. */
const fraction = (date: Date, digits: number): string =>
  String(date.getTime() % 1_000)
    .padStart(3, '0')
    .padEnd(9, '0')
    .slice(0, digits);

/** What strftime(3) has, in the C locale. */
const SPECIFIERS: Readonly<Record<string, Render>> = {
  Y: (date, zone) => String(zone.year(date)),
  y: (date, zone) => two(zone.year(date) % 100),
  C: (date, zone) => two(Math.floor(zone.year(date) / 100)),
  m: (date, zone) => two(zone.month(date) + 1),
  d: (date, zone) => two(zone.day(date)),
  e: (date, zone) => String(zone.day(date)).padStart(2),
  H: (date, zone) => two(zone.hour(date)),
  I: (date, zone) => two(hour12(zone.hour(date))),
  M: (date, zone) => two(zone.minute(date)),
  S: (date, zone) => two(zone.second(date)),
  p: (date, zone) => (zone.hour(date) < 12 ? 'AM' : 'PM'),
  A: (date, zone) => DAYS[zone.weekday(date)] as string,
  a: (date, zone) => (DAYS[zone.weekday(date)] as string).slice(0, 3),
  B: (date, zone) => MONTHS[zone.month(date)] as string,
  b: (date, zone) => (MONTHS[zone.month(date)] as string).slice(0, 3),
  h: (date, zone) => (MONTHS[zone.month(date)] as string).slice(0, 3),
  j: (date, zone) => String(dayOfYear(date, zone)).padStart(3, '0'),
  u: (date, zone) => String(zone.weekday(date) || 7),
  w: (date, zone) => String(zone.weekday(date)),
  z: (date, zone) => offset(zone.offset(date), ''),
  Z: (date, zone) => (zone === UTC ? 'UTC' : offset(zone.offset(date), '')),
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
};

/** Specifiers that stand for several. */
const COMPOSED: Readonly<Record<string, string>> = {
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  T: '%H:%M:%S',
  R: '%H:%M',
  r: '%I:%M:%S %p',
  c: '%a %b %e %H:%M:%S %Y',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
};

/** What `%START_TIME%` says when it is not told how: ISO 8601 with milliseconds. */
const DEFAULT_FORMAT = '%Y-%m-%dT%H:%M:%E3SZ';

/**
 * Compiles Envoy's time format: strftime(3), and its own `%f` (nine digits of the second's fraction; `%3f` so many), `%s` (seconds since
 * the epoch; `%3s`, `%6s`, `%9s` in thousandths, millionths, billionths), `%E3S` (seconds with a fraction) and `%Ez` (offset with a colon).
 * Throws an Error for what is none of these.
 */
export function compileTime(format: string = DEFAULT_FORMAT): (wallTimeMs: number, zone: Zone) => string {
  const renders = [...format.matchAll(/%(E?)(\d*)(.?)|[^%]+/gsu)].map(([text, extended, digits, letter]) =>
    text.startsWith('%') ? specifier(text, extended === 'E', digits ?? '', letter ?? '') : (): string => text,
  );
  return (wallTimeMs, zone) => {
    const date = new Date(wallTimeMs);
    let out = '';
    for (const render of renders) out += render(date, zone);
    return out;
  };
}

function specifier(text: string, extended: boolean, digits: string, letter: string): Render {
  const count = Number(digits);
  if (extended) {
    if (letter === 'z' && digits === '') return (date, zone) => offset(zone.offset(date), ':');
    if (letter === 'S' && digits !== '' && count <= 9) {
      return (date, zone) => two(zone.second(date)) + (count === 0 ? '' : `.${fraction(date, count)}`);
    }
  } else if (letter === 'f' && count <= 9 && digits !== '0') {
    return (date) => fraction(date, digits === '' ? 9 : count);
  } else if (letter === 's' && ['', '3', '6', '9'].includes(digits)) {
    return (date) => String(Math.floor(date.getTime() / 1_000)) + fraction(date, count);
  } else if (digits === '') {
    const composed = COMPOSED[letter];
    if (composed !== undefined) {
      const render = compileTime(composed);
      return (date, zone) => render(date.getTime(), zone);
    }
    const simple = SPECIFIERS[letter];
    if (simple !== undefined) return simple;
  }
  throw new Error(`"${text}" is no part of a time format`);
}
