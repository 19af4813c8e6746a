import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { backoffCeiling, fullJitter, spreadJitter } from '../../src/core/backoff.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { seededRandom } from '../../src/core/random.js';
import { FakeClock } from '../support/fake-clock.js';

describe('Deadlines', () => {
  test('a deadline never fires early, and at most one slot of 4 ms late', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 500 }), { minLength: 1, maxLength: 20 }), async (delays) => {
        const clock = new FakeClock();
        const deadlines = new Deadlines(clock);
        const start = clock.now();
        const fired: [number, number][] = [];
        for (const delay of delays) deadlines.watch(start + delay, () => fired.push([delay, clock.now() - start]));
        await clock.advance(600);
        expect(fired.length).toBe(delays.length);
        for (const [delay, at] of fired) {
          expect(at).toBeGreaterThanOrEqual(delay);
          expect(at).toBeLessThanOrEqual(delay + 4);
        }
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 50 },
    );
  });

  test('a deadline that was stopped does not fire', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const entry = deadlines.watch(clock.now() + 10, () => expect.fail('fired'));
    entry.stop();
    entry.stop();
    await clock.advance(100);
  });

  test('an earlier deadline set later still fires in time', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    const fired: string[] = [];
    deadlines.watch(clock.now() + 1_000, () => fired.push('late'));
    deadlines.watch(clock.now() + 20, () => fired.push('early'));
    await clock.advance(30);
    expect(fired).toEqual(['early']);
    await clock.advance(1_000);
    expect(fired).toEqual(['early', 'late']);
  });

  test('long deadlines that are stopped early are not kept until they would have passed', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    for (let i = 0; i < 20_000; i++) deadlines.watch(clock.now() + 3_600_000 + i * 4, () => {}).stop();
    expect(deadlines.slots).toBeLessThanOrEqual(4_096);
  });

  test('after close nothing is waited for any more', async () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    deadlines.close();
    let fired = 0;
    deadlines.watch(clock.now() + 10, () => fired++).stop();
    deadlines.watch(clock.now() + 10, () => fired++);
    expect([clock.pending, deadlines.slots]).toEqual([0, 0]);
    await clock.advance(100);
    expect(fired).toBe(0);
  });

  test('many calls share one timer, and close leaves none', () => {
    const clock = new FakeClock();
    const deadlines = new Deadlines(clock);
    for (let i = 0; i < 10_000; i++) deadlines.watch(clock.now() + 15_000 + (i % 50), () => {});
    expect(clock.pending).toBe(1);
    deadlines.close();
    expect(clock.pending).toBe(0);
  });
});

describe('backoff', () => {
  const backoff = { baseMs: 25, maxMs: 250 };

  test('the ceiling doubles from the base and stops at the maximum', () => {
    expect([1, 2, 3, 4, 5].map((n) => backoffCeiling(backoff, n))).toEqual([25, 50, 100, 200, 250]);
  });

  test('full jitter stays between 0 and the ceiling, the spread within a fifth around it', () => {
    const random = seededRandom(7);
    for (let n = 1; n < 8; n++) {
      for (let i = 0; i < 200; i++) {
        const ceiling = backoffCeiling(backoff, n);
        expect(fullJitter(backoff, n, random)).toBeLessThanOrEqual(ceiling);
        const spread = spreadJitter(backoff, n, random);
        expect(spread).toBeGreaterThanOrEqual(ceiling * 0.8);
        expect(spread).toBeLessThanOrEqual(ceiling * 1.2);
      }
    }
  });
});

describe('seededRandom', () => {
  test('repeats itself for the same seed and differs for another', () => {
    const draw = (seed: number): number[] => {
      const random = seededRandom(seed);
      return Array.from({ length: 20 }, () => random.next());
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  test('is even over its range', () => {
    const random = seededRandom(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) {
      const drawn = random.int(10);
      counts[drawn] = (counts[drawn] as number) + 1;
    }
    // Binomial(100 000, 0.1): five standard deviations are about 475.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(475);
  });
});
