import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../../src/core/random.js';
import { AIMD_BOUNDS, Aimd } from '../../../src/resilience/shedding/aimd.js';
import { GRADIENT2_BOUNDS, Gradient2 } from '../../../src/resilience/shedding/gradient2.js';
import type { LimitBounds, WindowedLimit, WindowSample } from '../../../src/resilience/shedding/limit.js';
import { VEGAS_BOUNDS, Vegas } from '../../../src/resilience/shedding/vegas.js';
import { Windowed } from '../../../src/resilience/shedding/window.js';

const window = (rttMs: number, inFlight = 1_000, dropped = false): WindowSample => ({ rttMs, inFlight, dropped });
/** Runs windows and says what the limit was after each. */
const limitsAfter = (limit: WindowedLimit, ...windows: WindowSample[]): number[] =>
  windows.map((sample) => {
    limit.update(sample);
    return limit.limit;
  });
const times = (n: number, sample: WindowSample): WindowSample[] => Array.from({ length: n }, () => sample);

describe('Gradient2', () => {
  test('grows by a fifth of the queue of 4 a window while times stay as they are: 20, 20.8, 21.6, …', () => {
    expect(limitsAfter(new Gradient2(), ...times(5, window(10)))).toEqual([20, 21, 22, 23, 24]);
  });

  test('times that are half as long again are as usual', () => {
    const limit = new Gradient2();
    limitsAfter(limit, ...times(20, window(10)));
    expect(limitsAfter(limit, window(14.9))[0]).toBe(Math.floor(20 + 21 * 0.8));
  });

  test('halves towards longer times, a fifth of the way each window', () => {
    const limit = new Gradient2();
    limitsAfter(limit, ...times(100, window(10)));
    // 100 at 0.5, and 4 for the queue: 54; a fifth of the way there.
    expect(limitsAfter(limit, window(1_000))[0]).toBe(Math.floor(100 * 0.8 + 54 * 0.2));
  });

  test('does not grow while it is half empty', () => {
    expect(limitsAfter(new Gradient2(), ...times(5, window(10, 9)))).toEqual([20, 20, 20, 20, 20]);
  });

  test('comes down to times that have become short for good faster than by averaging', () => {
    const limit = new Gradient2();
    limitsAfter(limit, ...times(10, window(100)));
    // Usual times fall from 100 to twice 10 by 5 % a window and more: in 32 windows, where averaging over 600 takes 480.
    limitsAfter(limit, ...times(32, window(10, 1)));
    const before = limit.limit;
    expect(limitsAfter(limit, window(40))[0]).toBeLessThan(before);
  });

  test('a window that says nothing of a queue is not taken for one: drops alone do not move it', () => {
    expect(limitsAfter(new Gradient2(), window(10, 1_000, true))).toEqual([20]);
  });
});

describe('Vegas', () => {
  const vegas = (bounds?: LimitBounds): Vegas => new Vegas(seededRandom(1), bounds);

  test('learns the shortest time first, then leaps by 6 while nothing waits', () => {
    expect(limitsAfter(vegas(), window(10), window(10), window(10))).toEqual([20, 26, 32]);
  });

  test('by how many wait: fewer than 3 and one more, up to 6 and it stays, more and one less', () => {
    // 20 × (1 − 10 ÷ rtt) wait, rounded up.
    for (const [rttMs, limit] of [
      [11, 21],
      [12, 20],
      [14, 20],
      [15, 19],
    ] as const) {
      expect(limitsAfter(vegas(), window(10), window(rttMs))[1], String(rttMs)).toBe(limit);
    }
  });

  test('one less for a caller that did not wait, however short the others took', () => {
    expect(limitsAfter(vegas(), window(10), window(10, 1_000, true))[1]).toBe(19);
  });

  test('forgets the shortest time after half to all of 30 windows for each of its requests', () => {
    const limit = vegas({ initialLimit: 2, minLimit: 1, maxLimit: 2 });
    limitsAfter(limit, window(1));
    // By a time of 1 nearly all of both wait. Forgotten after 60 windows at the latest, 100 is what it takes without load.
    const limits = limitsAfter(limit, ...times(120, window(100)));
    expect(limits[0]).toBe(2);
    expect(limits).toContain(2);
    expect(limitsAfter(limit, window(100))[0]).toBe(2);
  });
});

describe('AIMD', () => {
  test('one more a window, a tenth less after a loss or after 5 s', () => {
    const limit = new Aimd();
    expect(limitsAfter(limit, ...times(10, window(10))).at(-1)).toBe(30);
    expect(limitsAfter(limit, window(10, 1_000, true), window(5_001))).toEqual([27, 24]);
    expect(limitsAfter(limit, window(10, 11))).toEqual([24]);
  });
});

describe('windows', () => {
  class Seen implements WindowedLimit {
    readonly limit = 1;
    readonly windows: WindowSample[] = [];
    update(sample: WindowSample): void {
      this.windows.push(sample);
    }
  }

  test('a second each, as mean, most under way and whether any was dropped', () => {
    const seen = new Seen();
    const windowed = new Windowed(seen);
    // The first sample ends a window that was empty before it.
    windowed.sample(0, 5, 1, false);
    for (let i = 0; i < 10; i++) windowed.sample(i * 90, i < 5 ? 10 : 30, i, i === 3);
    expect(seen.windows).toEqual([]);
    windowed.sample(990, 20, 2, false);
    expect(seen.windows).toEqual([{ rttMs: 220 / 11, inFlight: 9, dropped: true }]);
  });

  test('fewer than 10 say nothing, and less than 100 µs is nothing', () => {
    const seen = new Seen();
    const windowed = new Windowed(seen);
    windowed.sample(0, 1, 1, false);
    for (let i = 0; i < 8; i++) windowed.sample(i, 1, 1, false);
    for (let i = 0; i < 100; i++) windowed.sample(i, 0.09, 1, true);
    windowed.sample(2_000, 1, 1, false);
    expect(seen.windows).toEqual([]);
  });
});

test.each([
  ['Gradient2', GRADIENT2_BOUNDS, (bounds: LimitBounds) => new Gradient2(bounds)],
  ['Vegas', VEGAS_BOUNDS, (bounds: LimitBounds) => new Vegas(seededRandom(7), bounds)],
  ['AIMD', AIMD_BOUNDS, (bounds: LimitBounds) => new Aimd(bounds)],
] as const)('%s is a whole number within its bounds, whatever the windows say', (_, defaults, make) => {
  const samples = fc.array(
    fc.record({
      rttMs: fc.oneof(fc.double({ min: 0.1, max: 1e6, noNaN: true }), fc.constantFrom(0.1, 1, 1e7)),
      inFlight: fc.nat({ max: 2_000 }),
      dropped: fc.boolean(),
    }),
    { maxLength: 300 },
  );
  const bounds = fc
    .tuple(fc.integer({ min: 1, max: 50 }), fc.nat({ max: 50 }), fc.nat({ max: 500 }))
    .map(([minLimit, more, most]) => ({ minLimit, initialLimit: minLimit + more, maxLimit: minLimit + more + most }));
  fc.assert(
    fc.property(fc.oneof(fc.constant(defaults), bounds), samples, (within, windows) => {
      const limit = make(within);
      for (const next of limitsAfter(limit, ...windows)) {
        expect(Number.isInteger(next)).toBe(true);
        expect(next).toBeGreaterThanOrEqual(within.minLimit);
        expect(next).toBeLessThanOrEqual(within.maxLimit);
      }
    }),
    { numRuns: 100 },
  );
});
