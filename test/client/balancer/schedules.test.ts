import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EdfSchedule } from '../../../src/client/balancer/edf.js';
import { Lottery } from '../../../src/client/balancer/lottery.js';
import { StaticStride } from '../../../src/client/balancer/static-stride.js';
import { seededRandom } from '../../../src/core/random.js';
import { balancing, picksOf } from '../../support/balancing.js';

const weightsOf = (max: number) => fc.array(fc.integer({ min: 1, max }), { minLength: 2, maxLength: 20 });
const sum = (numbers: ArrayLike<number>): number => Array.from(numbers).reduce((total, n) => total + n, 0);

describe('earliest deadline first', () => {
  test('at any time, each has had its share of the turns to within two', () => {
    fc.assert(
      fc.property(weightsOf(1_000), fc.integer({ min: 1, max: 2_000 }), fc.integer(), (weights, turns, seed) => {
        const random = seededRandom(seed);
        const schedule = new EdfSchedule(Float64Array.from(weights, (weight) => random.next() / weight));
        const counts = weights.map(() => 0);
        for (let i = 0; i < turns; i++) {
          const turn = schedule.next() as number;
          counts[turn] = (counts[turn] as number) + 1;
          schedule.reschedule(weights[turn] as number);
        }
        // In virtual time t each has had floor or ceil of weight × t turns, and t is that of `turns` to within one turn of each: with shares
        // p, the error is below 1 + p × n, n being the positions; here it is checked against the virtual time itself.
        for (const [i, weight] of weights.entries()) {
          expect(Math.abs((counts[i] as number) - weight * schedule.now)).toBeLessThanOrEqual(1 + 1e-6);
        }
      }),
    );
  });

  test('round robin by weight: every whole cycle holds exactly the weights', () => {
    fc.assert(
      fc.property(weightsOf(20), fc.integer(), (weights, seed) => {
        const { balancer, endpoints } = balancing({ balancer: { kind: 'round_robin' } }, weights, { seed });
        const cycles = 50;
        const counts = picksOf(balancer, cycles * sum(weights));
        for (const [i, endpoint] of endpoints.entries()) {
          expect(Math.abs((counts.get(endpoint) ?? 0) - cycles * (weights[i] as number))).toBeLessThanOrEqual(2);
        }
      }),
    );
  });

  test('a heavy endpoint has its turns spread out: half of any eight, give or take one', () => {
    const { balancer, endpoints } = balancing({ balancer: { kind: 'round_robin' } }, [4, 1, 1, 1, 1]);
    const heavy = Array.from({ length: 80 }, () => Number(balancer.pick({}) === endpoints[0]));
    for (let i = 0; i + 8 <= heavy.length; i++) {
      expect(Math.abs(sum(heavy.slice(i, i + 8)) - 4)).toBeLessThanOrEqual(1);
    }
  });
});

describe('static stride', () => {
  test('shares as the weights, capped at ten times and a hundredth of their mean', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.001, max: 1_000, noNaN: true }), { minLength: 2, maxLength: 12 }),
        (weights) => {
          const mean = sum(weights) / weights.length;
          const capped = weights.map((weight) => Math.min(Math.max(weight, mean * 0.01), mean * 10));
          const stride = new StaticStride(weights, { round: 0, index: 0 });
          const counts = weights.map(() => 0);
          // The pattern is exact over 65,535 rounds; here over some, to within a turn for each position, and the rounding of weights.
          const picks = 20_000;
          for (let i = 0; i < picks; i++) {
            const at = stride.next();
            counts[at] = (counts[at] as number) + 1;
          }
          for (const [i, weight] of capped.entries()) {
            expect(Math.abs((counts[i] as number) / picks - weight / sum(capped))).toBeLessThan(0.002);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('one that is not known counts as the mean of those that are; none known: all alike', () => {
    const counts = (weights: number[]): number[] => {
      const stride = new StaticStride(weights, { round: 0, index: 0 });
      const turns = weights.map(() => 0);
      for (let i = 0; i < 30_000; i++) {
        const at = stride.next();
        turns[at] = (turns[at] as number) + 1;
      }
      return turns.map((count) => Math.round(count / 1_000));
    };
    expect(counts([1, 0, 3])).toEqual([5, 10, 15]);
    expect(counts([0, 0, 0])).toEqual([10, 10, 10]);
  });

  test('finds a turn within a round whatever the weights: huge ones, tiny ones, and such as are no numbers', () => {
    const most = Number.MAX_VALUE;
    for (const weights of [
      [most, most],
      [most, most, 1],
      [5e-324, 5e-324],
      [1e-305, 1e-308, 0],
      [Number.POSITIVE_INFINITY, 1],
      [Number.NaN, 1],
      [-1, 1],
    ]) {
      // One that never finds a turn would not return: each of its steps comes by here, which ends it.
      let steps = 0;
      let at = 0;
      const position = {
        round: 0,
        get index() {
          return at;
        },
        set index(index: number) {
          if (++steps > 2 * weights.length) throw new Error(`no turn among ${weights.join(', ')}`);
          at = index;
        },
      };
      const stride = new StaticStride(weights, position);
      for (let i = 0; i < 100; i++) {
        steps = 0;
        expect(stride.next()).toBeLessThan(weights.length);
      }
    }
    const equal = new StaticStride([most, most], { round: 0, index: 0 });
    expect(Array.from({ length: 20_000 }, () => equal.next()).filter((at) => at === 0).length / 20_000).toBeCloseTo(
      0.5,
    );
  });
});

describe('a lottery', () => {
  test('draws each by its weight', () => {
    fc.assert(
      fc.property(weightsOf(10), fc.integer(), (weights, seed) => {
        const lottery = new Lottery(weights.length, weights, seededRandom(seed));
        const counts = weights.map(() => 0);
        for (let i = 0; i < 5_000; i++) {
          const at = lottery.draw();
          counts[at] = (counts[at] as number) + 1;
        }
        // Five standard deviations: 5 × √(0.25 ÷ 5,000) < 0.036.
        for (const [i, weight] of weights.entries()) {
          expect(Math.abs((counts[i] as number) / 5_000 - weight / sum(weights))).toBeLessThan(0.036);
        }
      }),
      { numRuns: 50 },
    );
  });

  test('the second of a choice is another while weights are equal', () => {
    const lottery = new Lottery(5, [2, 2, 2, 2, 2], seededRandom(1));
    for (let i = 0; i < 100; i++) expect(lottery.drawSecond(3)).not.toBe(3);
  });
});
