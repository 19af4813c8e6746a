import { expect, test } from 'vitest';
import type { Limit } from '../../../../src/core/model/limit.js';
import { KnownLimits } from '../../../../src/resilience/ratelimit/rls/known-limits.js';

const per = (requests: number): Limit => ({ algorithm: 'fixed_window', requests, perMs: 1_000 });

test('a key has the limit that was last said of it, another key that last said of its rule, and other rules none', () => {
  const known = new KnownLimits();
  known.learn('users', 'users/ann', per(1));
  known.learn('users', 'users/ann', per(2));
  known.learn('users', 'users/bob', per(3));
  expect(known.of('users', 'users/ann')).toEqual(per(2));
  expect(known.of('users', 'users/eve')).toEqual(per(3));
  expect(known.of('paths', 'paths/')).toBeUndefined();
});

test('a key of which it was said that it has none has none', () => {
  const known = new KnownLimits();
  known.learn('users', 'users/root', undefined);
  known.learn('users', 'users/ann', per(1));
  expect(known.of('users', 'users/root')).toBeUndefined();
});

test('of ten thousand and one keys, the one told of longest ago is forgotten', () => {
  const known = new KnownLimits();
  const key = (i: number): string => `users/${i}`;
  for (let i = 0; i < 10_000; i++) known.learn('users', key(i), per(i));
  known.learn('users', key(0), per(70));
  known.learn('users', key(10_000), per(80));
  expect(known.of('users', key(0))).toEqual(per(70));
  expect(known.of('users', key(1))).toEqual(per(80));
  expect(known.of('users', key(2))).toEqual(per(2));
});
