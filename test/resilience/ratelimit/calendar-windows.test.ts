import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type CalendarPeriod, CalendarWindows } from '../../../src/resilience/ratelimit/calendar-windows.js';

const HOUR = 3_600_000;
const at = (text: string): number => Date.parse(text);
const iso = ({ start, end }: { readonly start: number; readonly end: number }): string[] =>
  [start, end].map((wall) => new Date(wall).toISOString());
const windowOf = (per: CalendarPeriod, zone: string, text: string): string[] =>
  iso(new CalendarWindows(per, zone).at(at(text)));

test('a day has 23 hours when clocks are set on, and 25 when they are set back', () => {
  expect(windowOf('day', 'Europe/Berlin', '2026-03-29T10:00:00Z')).toEqual([
    '2026-03-28T23:00:00.000Z',
    '2026-03-29T22:00:00.000Z',
  ]);
  expect(windowOf('day', 'Europe/Berlin', '2026-10-25T10:00:00Z')).toEqual([
    '2026-10-24T22:00:00.000Z',
    '2026-10-25T23:00:00.000Z',
  ]);
});

test('a day that has no midnight begins with the first moment of its date', () => {
  // Santiago: 2026-09-06 begins at 01:00.
  expect(windowOf('day', 'America/Santiago', '2026-09-06T12:00:00Z')).toEqual([
    '2026-09-06T04:00:00.000Z',
    '2026-09-07T03:00:00.000Z',
  ]);
  expect(windowOf('day', 'America/Santiago', '2026-09-06T03:30:00Z')[1]).toBe('2026-09-06T04:00:00.000Z');
});

test('a day that has two midnights begins with the first', () => {
  // Havana: at 01:00 on 2026-11-01 it is 00:00 again.
  expect(windowOf('day', 'America/Havana', '2026-11-01T05:30:00Z')).toEqual([
    '2026-11-01T04:00:00.000Z',
    '2026-11-02T05:00:00.000Z',
  ]);
});

test('an hour that the clocks go through twice is two', () => {
  expect(windowOf('hour', 'America/New_York', '2026-11-01T05:30:00Z')).toEqual([
    '2026-11-01T05:00:00.000Z',
    '2026-11-01T06:00:00.000Z',
  ]);
  expect(windowOf('hour', 'America/New_York', '2026-11-01T06:30:00Z')[0]).toBe('2026-11-01T06:00:00.000Z');
  // Lord Howe sets its clocks back by half an hour, at 02:00 to 01:30.
  expect(windowOf('hour', 'Australia/Lord_Howe', '2026-04-04T14:45:00Z')).toEqual([
    '2026-04-04T14:00:00.000Z',
    '2026-04-04T15:00:00.000Z',
  ]);
  expect(windowOf('hour', 'Australia/Lord_Howe', '2026-04-04T15:10:00Z')).toEqual([
    '2026-04-04T15:00:00.000Z',
    '2026-04-04T15:30:00.000Z',
  ]);
});

test('weeks begin on Monday, months and years by their names', () => {
  expect(windowOf('week', 'UTC', '2026-11-22T23:59:59Z')).toEqual([
    '2026-11-16T00:00:00.000Z',
    '2026-11-23T00:00:00.000Z',
  ]);
  expect(windowOf('week', 'UTC', '1969-12-31T00:00:00Z')).toEqual([
    '1969-12-29T00:00:00.000Z',
    '1970-01-05T00:00:00.000Z',
  ]);
  expect(windowOf('month', 'Asia/Kathmandu', '2028-02-29T12:00:00Z')).toEqual([
    '2028-01-31T18:15:00.000Z',
    '2028-02-29T18:15:00.000Z',
  ]);
  expect(windowOf('year', 'Pacific/Auckland', '2026-07-01T00:00:00Z')).toEqual([
    '2025-12-31T11:00:00.000Z',
    '2026-12-31T11:00:00.000Z',
  ]);
});

const SHORTEST: Record<CalendarPeriod, number> = {
  minute: 1,
  hour: 1,
  day: 22 * HOUR,
  week: 166 * HOUR,
  month: 27 * 24 * HOUR,
  year: 364 * 24 * HOUR,
};
const zones = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'America/New_York',
  'America/Sao_Paulo',
  'Asia/Kathmandu',
  'Asia/Beirut',
  'America/Havana',
  'America/Santiago',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Pacific/Chatham',
);
const periods = fc.constantFrom<CalendarPeriod>('minute', 'hour', 'day', 'week', 'month', 'year');

test('every moment is in one window, and one window follows the other', () => {
  fc.assert(
    fc.property(zones, periods, fc.integer({ min: at('2015-01-01Z'), max: at('2035-01-01Z') }), (zone, per, wall) => {
      const windows = new CalendarWindows(per, zone);
      const { start, end } = windows.at(wall);
      expect(start).toBeLessThanOrEqual(wall);
      expect(end).toBeGreaterThan(wall);
      expect(end - start).toBeGreaterThanOrEqual(SHORTEST[per]);
      expect(new CalendarWindows(per, zone).at(end).start).toBe(end);
      expect(new CalendarWindows(per, zone).at(end - 1)).toEqual({ start, end });
      expect(new CalendarWindows(per, zone).at(start)).toEqual({ start, end });
    }),
    { numRuns: 200 },
  );
});

test('the moments of a day have one date, and those around it another', () => {
  fc.assert(
    fc.property(zones, fc.integer({ min: at('2015-01-01Z'), max: at('2035-01-01Z') }), (timeZone, wall) => {
      const date = (moment: number): string => new Date(moment).toLocaleDateString('en-CA', { timeZone });
      const { start, end } = new CalendarWindows('day', timeZone).at(wall);
      expect([date(start), date(end - 1)]).toEqual([date(wall), date(wall)]);
      expect(date(start - 1)).not.toBe(date(wall));
      expect(date(end)).not.toBe(date(wall));
    }),
    { numRuns: 200 },
  );
});

test('a time zone that nobody knows is told at once', () => {
  expect(() => new CalendarWindows('day', 'Europe/Atlantis')).toThrow(RangeError);
});
