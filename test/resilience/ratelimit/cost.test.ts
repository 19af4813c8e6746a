import { expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { LimitDescriptor, RateLimitService } from '../../../src/core/limits.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

const cost = { header: 'x-cost' };
const saying = (text: string) => limitRequest({ headers: headerFields({ 'x-cost': text }) });

test.each(['0', '00', '-0', '0000000'])('a caller who says that a request counts %s counts one', (text) => {
  const limits = limitsEnv().compile([limitRule({ cost })]);
  const kinds = Array.from({ length: 3 }, () => limits.check(saying(text))).map(
    (verdict) => (verdict as { kind: string }).kind,
  );
  expect(kinds).toEqual(['allowed', 'allowed', 'refused']);
});

test('a rule that counts nothing itself lets everybody through', () => {
  const limits = limitsEnv().compile([limitRule({ cost: 0 })]);
  for (let i = 0; i < 5; i++) expect(limits.check(limitRequest())).toMatchObject({ kind: 'allowed' });
});

test('a rate limit service is told that a request counts nothing, as Envoy tells it', async () => {
  const asked: LimitDescriptor[] = [];
  const rls: RateLimitService = {
    shouldRateLimit: async (_domain, descriptors) => {
      asked.push(...descriptors);
      return { allowed: true, states: [], replyHeaders: undefined, requestHeaders: undefined, body: undefined };
    },
  };
  const store = { kind: 'rls', service: 'limits', domain: 'shop', timeoutMs: 50 } as const;
  const key = [{ as: 'all', kind: 'generic', value: 'all' }] as const;
  const limits = limitsEnv({ rls: () => rls }).compile([limitRule({ cost, store, key })]);
  await limits.check(saying('0'));
  expect(asked.map(({ hits }) => hits)).toEqual([0]);
});
