import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LimitState } from '../../../src/core/limits.js';
import type { Limit } from '../../../src/core/model/limit.js';
import { LocalStore } from '../../../src/resilience/ratelimit/local-store.js';
import { FakeClock } from '../../support/fake-clock.js';
import { anyLimit, letsThrough, type Passed } from './oracle.js';

const START = 1_700_000_000_000;
const requests = fc.integer({ min: 1, max: 12 });
const perMs = fc.constantFrom(7, 100, 333, 1_000);
const limits = anyLimit(requests, perMs);

/** Time passes; then a request comes, or one that was let through before and is not yet done gives back what it took. */
const steps = fc.array(
  fc.record({
    wait: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 1, max: 120 }).map((percent) => percent / 100),
    ),
    cost: fc.integer({ min: 1, max: 6 }),
    giveBack: fc.option(fc.nat(), { nil: undefined }),
  }),
  { maxLength: 60 },
);

for (const [name, limit] of Object.entries(limits)) {
  test(`${name} lets no more through than its definition allows, whenever what was taken is given back`, async () => {
    await fc.assert(
      fc.asyncProperty(limit, steps, async (of, happens) => {
        const clock = new FakeClock(0, START);
        const store = new LocalStore({ clock });
        let counted: (Passed & { readonly state: LimitState })[] = [];
        for (const { wait, cost, giveBack } of happens) {
          const ms = Math.round(wait * ('perMs' in of ? of.perMs : 0));
          if (ms > 0) await clock.advance(ms);
          const at = START + clock.now();
          const back = giveBack === undefined ? undefined : counted[giveBack % Math.max(1, counted.length)];
          if (back !== undefined) {
            const before = store.peek('key', of, 1).remaining;
            store.giveBack('key', of, back.cost, back.state);
            counted = counted.filter((one) => one !== back);
            // What was taken this very moment comes back whole.
            if (back.at === at) expect(store.peek('key', of, 1).remaining).toBeGreaterThanOrEqual(before + back.cost);
          } else {
            const state = store.take('key', of, cost);
            if (!state.allowed) continue;
            expect(letsThrough(of, counted, at, cost)).toBe(true);
            counted.push({ at, cost, state });
          }
        }
      }),
      { numRuns: 500 },
    );
  });
}

test('a bucket that has filled up meanwhile gets nothing back', async () => {
  const clock = new FakeClock();
  const store = new LocalStore({ clock });
  const limit: Limit = { algorithm: 'token_bucket', requests: 100, perMs: 1_000, burst: 10 };
  const held = store.take('key', limit, 10);
  await clock.advance(200);
  expect(store.take('key', limit, 10).allowed).toBe(true);
  store.giveBack('key', limit, 10, held);
  expect(store.peek('key', limit, 1).allowed).toBe(false);
});

test('a bucket that is in debt all the time gets all back, however long it took', async () => {
  const clock = new FakeClock();
  const store = new LocalStore({ clock });
  const limit: Limit = { algorithm: 'token_bucket', requests: 1_000, perMs: 1_000, burst: 100 };
  store.take('key', limit, 90);
  const held = store.take('key', limit, 10);
  await clock.advance(50);
  store.take('key', limit, 50);
  store.giveBack('key', limit, 10, held);
  expect(store.peek('key', limit, 1).remaining).toBe(10);
});
