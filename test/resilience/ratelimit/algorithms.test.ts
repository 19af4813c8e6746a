import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Limit } from '../../../src/core/model/limit.js';
import { LocalStore } from '../../../src/resilience/ratelimit/local-store.js';
import { JumpingClock } from '../../support/jumping-clock.js';
import { anyLimit, letsThrough, type Passed } from './oracle.js';

const START = 1_700_000_000_000;
const HOUR = 3_600_000;

const requests = fc.integer({ min: 0, max: 12 });
const perMs = fc.constantFrom(1, 7, 100, 333, 1_000, 60_000);
const limits = anyLimit(requests, perMs);

/** What happens next: time passes, in share of the limit's own; the wall clock may be set; a request comes. */
const steps = fc.array(
  fc.record({
    wait: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 250 }).map((percent) => percent / 100),
    ),
    jump: fc.oneof(
      { weight: 8, arbitrary: fc.constant(0) },
      { weight: 1, arbitrary: fc.integer({ min: -HOUR, max: HOUR }) },
    ),
    cost: fc.oneof({ weight: 5, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 6 }) }),
  }),
  { maxLength: 60 },
);

for (const [name, limit] of Object.entries(limits)) {
  test(`${name} lets through what its definition does, neither more nor less, however the wall clock is set`, async () => {
    await fc.assert(
      fc.asyncProperty(limit, steps, async (of, happens) => {
        const clock = new JumpingClock(0, START);
        const store = new LocalStore({ clock });
        const passed: Passed[] = [];
        for (const { wait, jump, cost } of happens) {
          await pass(clock, Math.round(wait * ('perMs' in of ? of.perMs : 0)));
          clock.jump(jump);
          const at = START + clock.now();
          const expected = letsThrough(of, passed, at, cost);
          expect(store.peek('key', of, cost).allowed).toBe(expected);
          expect(store.take('key', of, cost).allowed).toBe(expected);
          if (expected && cost > 0) passed.push({ at, cost });
          const { remaining } = store.peek('key', of, 1);
          if (remaining > 0) expect(letsThrough(of, passed, at, remaining)).toBe(true);
          expect(letsThrough(of, passed, at, remaining + 1)).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });

  test(`${name} says to the millisecond when the next is let through, and when nothing counts any more`, async () => {
    await fc.assert(
      fc.asyncProperty(limit, steps, async (of, happens) => {
        const clock = new JumpingClock(0, START);
        const store = new LocalStore({ clock });
        const passed: Passed[] = [];
        for (const { wait, cost } of happens) {
          await pass(clock, Math.round(wait * ('perMs' in of ? of.perMs : 0)));
          if (store.take('key', of, cost).allowed && cost > 0) passed.push({ at: START + clock.now(), cost });
        }
        const { retryAfterMs, resetMs } = store.peek('key', of, 1);
        if (retryAfterMs === Number.POSITIVE_INFINITY) {
          expect(of.requests).toBe(0);
          return;
        }
        // The least whole millisecond; a share of a ten-thousandth of a request is forgiven.
        const at = Math.ceil(retryAfterMs - 1e-6);
        const now = START + clock.now();
        expect(letsThrough(of, passed, now + at, 1)).toBe(true);
        if (at > 0) expect(letsThrough(of, passed, now + at - 1, 1)).toBe(false);
        await pass(clock, Math.ceil(resetMs));
        expect(store.peek('key', of, 1)).toMatchObject({
          allowed: true,
          remaining: store.peek('fresh', of, 1).remaining,
        });
      }),
      { numRuns: 200 },
    );
  });
}

test('a request that counts more than the limit is never let through', () => {
  const store = new LocalStore({ clock: new JumpingClock() });
  const window = { requests: 5, perMs: 1_000 };
  for (const limit of [
    { algorithm: 'token_bucket', burst: 5, ...window },
    { algorithm: 'fixed_window', ...window },
    { algorithm: 'sliding_window', ...window },
    { algorithm: 'sliding_log', ...window },
    { algorithm: 'calendar', requests: 5, per: 'day', timeZone: 'UTC' },
  ] satisfies Limit[]) {
    expect(store.take(limit.algorithm, limit, 6)).toMatchObject({
      allowed: false,
      retryAfterMs: Number.POSITIVE_INFINITY,
      remaining: 5,
    });
    expect(store.take(limit.algorithm, limit, 5).allowed).toBe(true);
  }
});

async function pass(clock: JumpingClock, ms: number): Promise<void> {
  if (ms > 0) await clock.advance(ms);
}
