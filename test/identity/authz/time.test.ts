import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TimeWindow } from '../../../src/core/model/authorization.js';
import { timeTest } from '../../../src/identity/authz/time.js';

const ZONES = [
  'UTC',
  'Europe/Vienna',
  'America/New_York',
  'Asia/Kolkata',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'America/St_Johns',
  'Africa/Casablanca',
];

const window = (zone: string, from: string, to: string, more: Partial<TimeWindow> = {}): TimeWindow => ({
  zone,
  from: minutes(from),
  to: minutes(to),
  weekdays: [],
  dates: [],
  ...more,
});
const minutes = (clock: string): number => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
const [SUN, MON, FRI, SAT] = [0, 1, 5, 6];

describe('a window of time', () => {
  test.each<[string, TimeWindow, string, boolean]>([
    ['is open from its first minute', window('UTC', '09:00', '17:00'), '2026-03-02T09:00:00Z', true],
    ['is open up to its last', window('UTC', '09:00', '17:00'), '2026-03-02T16:59:59.999Z', true],
    ['is closed at its end', window('UTC', '09:00', '17:00'), '2026-03-02T17:00:00Z', false],
    ['is closed before', window('UTC', '09:00', '17:00'), '2026-03-02T08:59:59.999Z', false],
    [
      'goes by the clocks of its zone in winter',
      window('Europe/Vienna', '09:00', '10:00'),
      '2026-01-05T08:30:00Z',
      true,
    ],
    [
      'goes by the clocks of its zone in summer',
      window('Europe/Vienna', '09:00', '10:00'),
      '2026-07-06T07:30:00Z',
      true,
    ],
    ['is of the whole day', window('UTC', '00:00', '24:00'), '2026-03-02T23:59:59Z', true],
    ['goes past midnight', window('UTC', '22:00', '06:00'), '2026-03-03T05:59:00Z', true],
    ['has ended in the morning', window('UTC', '22:00', '06:00'), '2026-03-03T06:00:00Z', false],
    ['is on a weekday', window('UTC', '00:00', '24:00', { weekdays: [MON] }), '2026-03-02T12:00:00Z', true],
    ['is not on another', window('UTC', '00:00', '24:00', { weekdays: [MON] }), '2026-03-03T12:00:00Z', false],
    [
      'has the weekday of its zone',
      window('Pacific/Auckland', '00:00', '24:00', { weekdays: [MON] }),
      '2026-03-01T20:00:00Z',
      true,
    ],
    [
      'past midnight has the weekday on which it began',
      window('UTC', '22:00', '06:00', { weekdays: [FRI] }),
      '2026-03-07T03:00:00Z',
      true,
    ],
    [
      'past midnight has not begun the night before',
      window('UTC', '22:00', '06:00', { weekdays: [SAT] }),
      '2026-03-07T03:00:00Z',
      false,
    ],
    [
      'past midnight is of Saturday on Sunday morning',
      window('UTC', '22:00', '06:00', { weekdays: [SAT] }),
      '2026-03-08T03:00:00Z',
      true,
    ],
    [
      'is on the leap day',
      window('UTC', '00:00', '24:00', { dates: [{ from: '2028-02-29', to: '2028-02-29' }] }),
      '2028-02-29T12:00:00Z',
      true,
    ],
    [
      'began on the leap day and goes past midnight',
      window('UTC', '22:00', '06:00', { dates: [{ from: '2028-02-29', to: '2028-02-29' }] }),
      '2028-03-01T05:00:00Z',
      true,
    ],
    [
      'did not begin on the day before March where there is no leap day',
      window('UTC', '22:00', '06:00', { dates: [{ from: '2027-02-28', to: '2027-02-28' }] }),
      '2027-03-01T05:00:00Z',
      true,
    ],
    [
      'past midnight is of the old year on New Year',
      window('UTC', '23:00', '01:00', { dates: [{ from: '2026-12-31', to: '2026-12-31' }] }),
      '2027-01-01T00:30:00Z',
      true,
    ],
    // 29 March 2026, 2:00 becomes 3:00 in Vienna.
    ['before a gap is open', window('Europe/Vienna', '01:30', '03:30'), '2026-03-29T00:59:00Z', true],
    ['after a gap goes on', window('Europe/Vienna', '01:30', '03:30'), '2026-03-29T01:10:00Z', true],
    ['within a gap never is: before', window('Europe/Vienna', '02:00', '03:00'), '2026-03-29T00:59:59Z', false],
    ['within a gap never is: after', window('Europe/Vienna', '02:00', '03:00'), '2026-03-29T01:00:00Z', false],
    // 25 October 2026, 3:00 becomes 2:00 in Vienna.
    [
      'that clocks repeat is there the first time',
      window('Europe/Vienna', '02:00', '03:00'),
      '2026-10-25T00:30:00Z',
      true,
    ],
    ['that clocks repeat is there again', window('Europe/Vienna', '02:00', '03:00'), '2026-10-25T01:30:00Z', true],
    ['after the repetition is over', window('Europe/Vienna', '02:00', '03:00'), '2026-10-25T02:00:00Z', false],
    [
      'of the Sunday of the change has its weekday',
      window('America/New_York', '01:00', '02:00', { weekdays: [SUN] }),
      '2026-11-01T06:30:00Z',
      true,
    ],
    // Half an hour of daylight saving.
    ['in a zone of half hours', window('Australia/Lord_Howe', '01:30', '02:00'), '2026-04-04T15:00:00Z', true],
    // 30 December 2011 is not on the calendar of Apia.
    [
      'on a date that was left out never is',
      window('Pacific/Apia', '00:00', '24:00', { dates: [{ from: '2011-12-30', to: '2011-12-30' }] }),
      '2011-12-30T12:00:00Z',
      false,
    ],
  ])('%s', (_, given, at, expected) => {
    expect(timeTest(given)(Date.parse(at))).toBe(expected);
  });

  test('is what an oracle says that reads the clock as text, in several zones, around every change of offset', () => {
    // Half of the times are near a change of the clocks.
    const changes = ['2026-03-08', '2026-03-29', '2026-10-25', '2026-11-01', '2028-02-29', '2027-01-01'];
    const instant = fc.oneof(
      fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2035-01-01') }),
      fc
        .tuple(fc.constantFrom(...changes), fc.integer({ min: -36, max: 36 }), fc.integer({ min: 0, max: 3_600_000 }))
        .map(([day, hours, ms]) => Date.parse(day) + hours * 3_600_000 + ms),
    );
    const given = fc.record<TimeWindow>({
      zone: fc.constantFrom(...ZONES),
      from: fc.integer({ min: 0, max: 1_439 }),
      to: fc.integer({ min: 0, max: 1_440 }),
      weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
      dates: fc.constantFrom(
        [],
        [{ from: '2026-03-01', to: '2026-10-25' }],
        [{ from: '2028-02-29', to: '2028-02-29' }],
      ),
    });
    fc.assert(
      fc.property(given, instant, (one, at) => {
        expect(timeTest(one)(at)).toBe(oracle(one, at));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** By the text that the platform prints for a Swede, and days counted on an imaginary calendar without zones. */
function oracle({ zone, from, to, weekdays, dates }: TimeWindow, at: number): boolean {
  const [date = '', clock = ''] = new Date(at).toLocaleString('sv-SE', { timeZone: zone }).split(' ');
  const minute = minutes(clock.slice(0, 5));
  const began = (day: string): boolean =>
    (weekdays.length === 0 || weekdays.includes(new Date(`${day}T12:00:00Z`).getUTCDay())) &&
    (dates.length === 0 || dates.some((range) => day >= range.from && day <= range.to));
  const dayBefore = new Date(Date.parse(`${date}T12:00:00Z`) - 86_400_000).toISOString().slice(0, 10);
  if (to > from) return minute >= from && minute < to && began(date);
  return (minute >= from && began(date)) || (minute < to && began(dayBefore));
}
