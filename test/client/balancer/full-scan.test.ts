import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import type { BalancerConfig } from '../../../src/core/model/balancer.js';
import { balancing, sharesOf } from '../../support/balancing.js';

const SCAN: BalancerConfig = { kind: 'least_request', choiceCount: 2, fullScan: true };

describe('least request of all endpoints (Envoy FULL_SCAN)', () => {
  test('picks none that has more under way than another', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 1, maxLength: 50 }), fc.integer(), (loads, seed) => {
        const { balancer, endpoints } = balancing(
          { balancer: SCAN },
          loads.map(() => 1),
          { seed },
        );
        loads.forEach((load, i) => {
          (endpoints[i] as Endpoint).inflight = load;
        });
        for (let i = 0; i < 5; i++) expect(balancer.pick({})?.inflight).toBe(Math.min(...loads));
      }),
    );
  });

  test('among equals chance decides, by weight', () => {
    const { balancer, endpoints } = balancing({ balancer: SCAN }, [1, 2, 5, 2]);
    (endpoints[2] as Endpoint).inflight = 1;
    const shares = sharesOf(balancer, endpoints, 10_000);
    expect(shares[2]).toBe(0);
    expect(shares[1]).toBeCloseTo(0.4, 1);
  });

  test('calls that stay are spread by weight to within one', () => {
    const { balancer, endpoints } = balancing({ balancer: SCAN }, [1, 4]);
    for (let i = 0; i < 1_000; i++) (balancer.pick({}) as Endpoint).inflight++;
    expect(Math.abs((endpoints[0] as Endpoint).inflight - 200)).toBeLessThanOrEqual(1);
  });

  test('an endpoint that was tried is passed over, however idle it is, while there is another', () => {
    const { balancer, endpoints } = balancing({ balancer: SCAN }, [1, 1, 1]);
    const [first, second, third] = endpoints as [Endpoint, Endpoint, Endpoint];
    second.inflight = 3;
    third.inflight = 2;
    expect(balancer.pick({ tried: [first.key] })).toBe(third);
    expect(balancer.pick({ tried: [first.key, third.key] })).toBe(second);
    expect(balancer.pick({ tried: endpoints.map(({ key }) => key) })).toBe(first);
  });

  test('with a bias, schedules decide where weights differ, and the scan where they do not', () => {
    const biased: BalancerConfig = { ...SCAN, activeRequestBias: 0 };
    const unequal = balancing({ balancer: biased }, [1, 3]);
    (unequal.endpoints[1] as Endpoint).inflight = 9;
    expect(sharesOf(unequal.balancer, unequal.endpoints, 400)).toEqual([0.25, 0.75]);
    const equal = balancing({ balancer: biased }, [1, 1]);
    (equal.endpoints[1] as Endpoint).inflight = 9;
    expect(sharesOf(equal.balancer, equal.endpoints, 400)).toEqual([1, 0]);
  });
});
