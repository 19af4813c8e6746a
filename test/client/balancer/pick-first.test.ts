import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { balancing, picksOf } from '../../support/balancing.js';

const inOrder = { balancer: { kind: 'pick_first', shuffle: false } } as const;
const shuffled = { balancer: { kind: 'pick_first', shuffle: true } } as const;

describe('pick first (A62)', () => {
  test('gives all calls to the first endpoint, as long as it can be reached', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    expect([...picksOf(balancer, 100).keys()]).toEqual([endpoints[0]]);
  });

  test('moves on when it is lost, and stays there when it comes back', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    const first = balancer.pick({});
    first?.connectFailed(0);
    expect([...picksOf(balancer, 10).keys()]).toEqual([endpoints[1]]);
    first?.reached(1);
    expect([...picksOf(balancer, 10).keys()]).toEqual([endpoints[1]]);
  });

  test('the same when the lost one is left out, and given again later', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    balancer.pick({});
    balancer.update(endpoints.slice(1));
    expect(balancer.pick({})).toBe(endpoints[1]);
    balancer.update(endpoints);
    expect(balancer.pick({})).toBe(endpoints[1]);
  });

  test('an update keeps the one in use, wherever it is in the new list', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    balancer.pick({});
    balancer.update([...endpoints].reverse());
    expect(balancer.pick({})).toBe(endpoints[0]);
  });

  test('a retry goes to another; other calls do not follow it', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    balancer.pick({});
    expect(balancer.pick({ tried: [endpoints[0]?.key ?? ''] })).toBe(endpoints[1]);
    expect(balancer.pick({})).toBe(endpoints[0]);
  });

  test('no call looks whether another is back while one serves', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1]);
    const first = balancer.pick({}) as Endpoint;
    first.connectFailed(0);
    balancer.update(endpoints.slice(1));
    expect(balancer.admits(first, {})).toBe(true);
    balancer.pick({});
    expect(balancer.admits(first, {})).toBe(false);
    endpoints[1]?.connectFailed(1);
    expect(balancer.admits(first, {})).toBe(true);
  });

  test('when none can be reached each is tried in turn, until one has come back', () => {
    const { balancer, endpoints } = balancing(inOrder, [1, 1, 1]);
    for (const endpoint of endpoints) endpoint.connectFailed(0);
    expect(picksOf(balancer, 6)).toEqual(new Map(endpoints.map((endpoint) => [endpoint, 2])));
    endpoints[2]?.reached(1);
    expect([...picksOf(balancer, 6).keys()]).toEqual([endpoints[2]]);
  });
});

describe('shuffled (A113)', () => {
  test('each is first as often as its weight says', () => {
    const weights = [1, 2, 5];
    const first = weights.map(() => 0);
    for (let seed = 0; seed < 4_000; seed++) {
      const { balancer, endpoints } = balancing(shuffled, weights, { seed });
      const at = endpoints.indexOf(balancer.pick({}) as Endpoint);
      first[at] = (first[at] as number) + 1;
    }
    // Five standard deviations: 5 × √(0.25 ÷ 4,000) < 0.04.
    for (const [i, weight] of weights.entries()) {
      expect(Math.abs((first[i] as number) / 4_000 - weight / 8)).toBeLessThan(0.04);
    }
  });

  test('an update does not shuffle those that remain anew', () => {
    const { balancer, endpoints } = balancing(shuffled, new Array<number>(20).fill(1));
    const order = (): Endpoint[] => {
      const tried: string[] = [];
      return endpoints.map(() => {
        const picked = balancer.pick({ tried }) as Endpoint;
        tried.push(picked.key);
        return picked;
      });
    };
    const before = order();
    balancer.update(endpoints);
    expect(order()).toEqual(before);
  });
});
