import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Limit } from '../../../src/core/model/limit.js';
import { LocalStore } from '../../../src/resilience/ratelimit/local-store.js';
import { SmoothWall } from '../../../src/resilience/ratelimit/smooth-wall.js';
import { JumpingClock } from '../../support/jumping-clock.js';

const MINUTE = 60_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const REQUESTS = 3;
/** How much a calendar may go faster or slower while it makes up for what the wall clock was set by. */
const MAX_DRIFT = 1 / 16;

const limits: readonly (readonly [string, number, number, Limit])[] = [
  ['a fixed window', MINUTE, 0, { algorithm: 'fixed_window', requests: REQUESTS, perMs: MINUTE }],
  ['a fixed window', HOUR, 0, { algorithm: 'fixed_window', requests: REQUESTS, perMs: HOUR }],
  ['a calendar', MINUTE, MAX_DRIFT, { algorithm: 'calendar', requests: REQUESTS, per: 'minute', timeZone: 'UTC' }],
  ['a calendar', HOUR, MAX_DRIFT, { algorithm: 'calendar', requests: REQUESTS, per: 'hour', timeZone: 'Asia/Kolkata' }],
  ['a calendar', DAY, MAX_DRIFT, { algorithm: 'calendar', requests: REQUESTS, per: 'day', timeZone: 'UTC' }],
];

for (const [name, length, drift, limit] of limits) {
  test(`${name} of ${length / 1_000} s: a clock that is set by an hour brings nobody two windows at once, and costs nobody more than one`, async () => {
    const wait = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 130 }).map((percent) => percent / 100),
    );
    const jump = fc.oneof(fc.constant(0), fc.integer({ min: -HOUR, max: HOUR }), fc.constantFrom(-HOUR, HOUR));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ wait, jump }), { maxLength: 60 }), async (happens) => {
        const clock = new JumpingClock(0);
        const store = new LocalStore({ clock });
        const passed: number[] = [];
        for (const step of happens) {
          await clock.advance(Math.round(step.wait * length));
          clock.jump(step.jump);
          const { allowed, retryAfterMs } = store.take('key', limit, 1);
          if (allowed) passed.push(clock.now());
          else expect(retryAfterMs).toBeLessThanOrEqual(length);
          // Who waits as long as a window may last is let through, whatever was done to the clock.
          const refusedSince = allowed ? undefined : passed[passed.length - REQUESTS];
          if (refusedSince !== undefined) expect(clock.now() - refusedSince).toBeLessThanOrEqual(length / (1 - drift));
        }
        // In a span shorter than a window there are parts of two at most.
        const span = length / (1 + drift);
        for (const [i, from] of passed.entries()) {
          const within = passed.slice(i).filter((at) => at < from + span);
          expect(within.length).toBeLessThanOrEqual(2 * REQUESTS);
        }
      }),
      { numRuns: 100 },
    );
  });
}

test('wall time that was set is made up within sixteen times the difference, and not before', async () => {
  const clock = new JumpingClock(0);
  const wall = new SmoothWall(clock);
  clock.jump(HOUR);
  await clock.advance(15 * HOUR);
  expect(wall.at(clock.now())).toBeLessThan(clock.wallTime());
  await clock.advance(HOUR);
  expect(wall.at(clock.now())).toBe(clock.wallTime());
  clock.jump(-HOUR);
  const before = wall.at(clock.now());
  await clock.advance(HOUR);
  expect(wall.at(clock.now()) - before).toBe(HOUR * (1 - MAX_DRIFT));
});

test('a clock that was wrong by more than a day is believed at once, and once a day', async () => {
  const clock = new JumpingClock(0);
  const wall = new SmoothWall(clock);
  clock.jump(400 * DAY);
  await clock.advance(1);
  expect(wall.at(clock.now())).toBe(clock.wallTime());
  clock.jump(-400 * DAY);
  await clock.advance(HOUR);
  expect(wall.at(clock.now())).toBeGreaterThan(clock.wallTime() + 399 * DAY);
  await clock.advance(DAY);
  expect(wall.at(clock.now())).toBe(clock.wallTime());
});
