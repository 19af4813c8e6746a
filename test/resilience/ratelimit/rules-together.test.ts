import { expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { LimitRequest, LimitVerdict } from '../../../src/core/limits.js';
import type { Limit, LimitRule } from '../../../src/core/model/limit.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

const of = (requests: number): Limit => ({ algorithm: 'fixed_window', requests, perMs: 60_000 });
const byUser = (overrides: LimitRule['overrides'], more: Partial<LimitRule> = {}): LimitRule => ({
  ...limitRule({ name: 'user', key: [{ kind: 'header', name: 'x-user', as: 'user', absent: 'skip-rule' }] }),
  overrides,
  ...more,
  limit: undefined,
});
const from = (user?: string): LimitRequest =>
  limitRequest(user === undefined ? {} : { headers: headerFields({ 'x-user': user }) });

test('a rule that is for what no other counts leaves out requests that one of these counts, be they refused or shadowed', () => {
  for (const mode of ['enforce', 'shadow'] as const) {
    const { compile } = limitsEnv();
    const limits = compile([
      byUser([{ values: ['a'], limit: of(3) }], { mode }),
      limitRule({ name: 'others', limit: of(1), unless: ['user'] }),
    ]);
    const kinds = (user: string | undefined, times: number): string[] =>
      Array.from({ length: times }, () => (limits.check(from(user)) as LimitVerdict).kind);
    expect(kinds('a', 4)).toEqual(['allowed', 'allowed', 'allowed', mode === 'enforce' ? 'refused' : 'allowed']);
    // Of those that no override names, and those without the header.
    expect(kinds('b', 1)).toEqual(['allowed']);
    expect(kinds(undefined, 1)).toEqual(['refused']);
    expect(kinds('b', 1)).toEqual(['refused']);
  }
});

test('rules of one share look at the same requests, and those of another at others', () => {
  const { compile, events } = limitsEnv();
  const half = { name: 'filter', of: 0.5 };
  const rule = (name: string, share: LimitRule['share']): LimitRule =>
    limitRule({ name, limit: of(0), mode: 'shadow', share });
  const limits = compile([rule('a', half), rule('b', half), rule('c', { name: 'other', of: 0.5 })]);
  const requests = 2_000;
  let both = 0;
  let alone = 0;
  const counts = new Map<string, number>();
  for (let i = 0; i < requests; i++) {
    events.length = 0;
    limits.check(from());
    const rules = events.flatMap((event) => (event.kind === 'limit:refused' ? [event.rule] : []));
    for (const name of rules) counts.set(name, (counts.get(name) ?? 0) + 1);
    if (rules.includes('a') !== rules.includes('b')) alone++;
    if (rules.includes('a') && rules.includes('c')) both++;
  }
  expect(alone).toBe(0);
  // Five standard deviations of a binomial distribution.
  for (const name of ['a', 'b', 'c']) expect(Math.abs((counts.get(name) ?? 0) - requests / 2)).toBeLessThan(112);
  expect(Math.abs(both - requests / 4)).toBeLessThan(97);
});
