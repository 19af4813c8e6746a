import { expect, onTestFinished, test } from 'vitest';
import { isBalancerRegistered, type Policy, registerBalancer } from '../../../src/client/balancer/balancer.js';
import type { Endpoint } from '../../../src/client/endpoints/endpoint.js';
import { aLiveEndpoint, balancing, picksOf } from '../../support/balancing.js';

function registered(policy: (config: unknown) => Policy): { readonly config: object } {
  const name = 'example.org/own';
  onTestFinished(registerBalancer(name, policy));
  return { config: { balancer: { kind: 'custom', name, config: { zone: 'a' } } } };
}

const own = (pick: (list: readonly Endpoint[]) => Endpoint | undefined): Policy => {
  let list: readonly Endpoint[] = [];
  return {
    update(endpoints) {
      list = endpoints;
    },
    pick: () => pick(list),
  };
};

function withErrors(policy: (config: unknown) => Policy) {
  const errors: string[] = [];
  const { config } = registered(policy);
  const made = balancing(config as Parameters<typeof balancing>[0], [1, 1, 1], {
    logger: { error: (message) => errors.push(message) },
  });
  return { ...made, errors };
}

test("an application's policy chooses, and has its part of the configuration and the weights", () => {
  let seen: unknown;
  let weighed: number[] = [];
  const { balancer, endpoints, errors } = withErrors((config) => {
    seen = config;
    const policy = own((list) => list.at(-1));
    return {
      ...policy,
      update(list, weights) {
        weighed = Array.from(weights);
        policy.update(list, weights);
      },
    };
  });
  expect([...picksOf(balancer, 10).keys()]).toEqual([endpoints[2]]);
  expect(seen).toEqual({ zone: 'a' });
  expect(weighed).toEqual([1, 1, 1]);
  expect(errors).toEqual([]);
});

test.each<[string, (config: unknown) => Policy, RegExp]>([
  [
    'throws when it is made',
    () => {
      throw new Error('not today');
    },
    /throws in its factory/,
  ],
  [
    'throws in a pick',
    () =>
      own(() => {
        throw new Error('not today');
      }),
    /throws in pick/,
  ],
  ['picks a stranger', () => own(() => aLiveEndpoint('10.9.9.9:80')), /was not given/],
  ['picks nothing', () => own(() => undefined), /^$/],
])('one that %s fails no call: the pick is made at random, and told of once', (_, policy, message) => {
  const { balancer, endpoints, errors } = withErrors(policy);
  expect(new Set(picksOf(balancer, 100).keys())).toEqual(new Set(endpoints));
  expect(errors.join()).toMatch(message);
  expect(errors.length).toBeLessThanOrEqual(1);
});

test('a name is taken once, free again when it is taken back, and must be there when it is configured', () => {
  const policy = (): Policy => own((list) => list[0]);
  const free = registerBalancer('example.org/a', policy);
  expect(isBalancerRegistered('example.org/a')).toBe(true);
  expect(() => registerBalancer('example.org/a', policy)).toThrow(/there is a balancer "example.org\/a" already/);
  free();
  expect(isBalancerRegistered('example.org/a')).toBe(false);
  expect(() => balancing({ balancer: { kind: 'custom', name: 'example.org/a', config: {} } }, [1])).toThrow(
    /call registerBalancer\("example.org\/a", …\) before/,
  );
});
