import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CAPACITY, computing, LIMITS, LOADS, type MakeLimit, type Point, pool } from './support/overload.js';

/*
 * An overload in virtual time, the same in every run: half to three times what the server can serve. `npm run bench -- overload` does it with real servers.
 */

const DURATION_MS = 40_000;

describe.each(Object.entries({ 'workers behind a queue': pool, 'handlers that compute': computing }))(
  '%s',
  (kind, serve) => {
    const sweep = (limit: MakeLimit): Point[] => LOADS.map((load) => serve(load, limit, DURATION_MS));
    let without: Point[] = [];
    let shedding: Point[] = [];
    const best = (points: readonly Point[]): number => Math.max(...points.map(({ goodput }) => goodput));
    const last = (points: readonly Point[]): Point => points[points.length - 1] as Point;
    beforeAll(() => {
      without = sweep(undefined);
      shedding = sweep(LIMITS.gradient2);
    });
    afterAll(() =>
      console.log(
        [
          `${kind}: goodput a second by load`,
          ...LOADS.map(
            (load, i) =>
              `  ${String(load).padEnd(5)} ${without[i]?.goodput.toFixed(0).padStart(5)} without, ${shedding[i]?.goodput.toFixed(0).padStart(5)} with shedding`,
          ),
        ].join('\n'),
      ),
    );

    test('at three times its capacity a server that sheds answers at least 90 % of what it does at best', () => {
      expect(best(shedding)).toBeGreaterThan(0.97 * CAPACITY);
      expect(last(shedding).goodput).toBeGreaterThanOrEqual(0.9 * best(shedding));
    });

    test('one that does not answers nobody in time from a quarter too much on', () => {
      expect(best(without)).toBeGreaterThan(0.85 * CAPACITY);
      for (const { load, goodput } of without) if (load >= 1.25) expect(goodput, String(load)).toBe(0);
    });

    test('below its capacity hardly a request is refused, and none is slower', () => {
      for (const [i, { load, refused, p99Ms }] of shedding.entries()) {
        if (load > 0.9) continue;
        expect(refused, String(load)).toBeLessThan(0.005);
        expect(p99Ms, String(load)).toBeLessThan(1.1 * (without[i] as Point).p99Ms);
      }
    });

    test('what is served under overload is served in a time that callers wait for', () => {
      for (const { load, p99Ms } of shedding) expect(p99Ms, String(load)).toBeLessThan(200);
    });

    test.each(Object.entries(LIMITS))(
      '%s holds at least nine tenths of its own peak, and of the best of all',
      (_, limit) => {
        const points = sweep(limit);
        expect(last(points).goodput).toBeGreaterThanOrEqual(0.9 * best(points));
        expect(last(points).goodput).toBeGreaterThanOrEqual(0.9 * best(shedding));
      },
    );

    test('the same seed replays the same run', () => {
      expect(serve(3, LIMITS.gradient2, DURATION_MS)).toEqual(last(shedding));
    });
  },
);
