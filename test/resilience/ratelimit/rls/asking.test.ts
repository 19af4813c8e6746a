import { expect, test } from 'vitest';
import { headerFields } from '../../../../src/core/headers.js';
import type { LimitDescriptor, LimitRequest, LimitServiceAnswer } from '../../../../src/core/limits.js';
import { silentLogger } from '../../../../src/core/log.js';
import { noMeter } from '../../../../src/core/meter.js';
import type { Limit, LimitRule, LimitStoreRef } from '../../../../src/core/model/limit.js';
import { DEFAULT_LIMIT_REPLY } from '../../../../src/core/model/limit.js';
import { seededRandom } from '../../../../src/core/random.js';
import { RLS_METHOD } from '../../../../src/core/rls.js';
import { requestLimits } from '../../../../src/resilience/ratelimit/request-limits.js';
import { LimitStores } from '../../../../src/resilience/ratelimit/stores.js';
import { FakeClock } from '../../../support/fake-clock.js';
import { limitRequest } from '../../../support/limits.js';

const LET_THROUGH: LimitServiceAnswer = {
  allowed: true,
  states: [],
  replyHeaders: undefined,
  requestHeaders: undefined,
  body: undefined,
};

const store = (service: string, domain = 'edge'): LimitStoreRef => ({ kind: 'rls', service, domain, timeoutMs: 20 });
const rule = (name: string, ref: LimitStoreRef): LimitRule => ({
  name,
  key: [{ kind: 'generic', as: 'rule', value: name }],
  mode: 'enforce',
  store: ref,
  onStoreFailure: 'deny',
});
const request = (path: string, asksLimits = false): LimitRequest =>
  limitRequest({ asksLimits, protocol: 'grpc', method: 'POST', path, host: 'limits' });

/** `answer`: of each service, by its name; throws for one that is lost. */
function limitsOf(rules: readonly LimitRule[], answer: (service: string) => LimitServiceAnswer = () => LET_THROUGH) {
  const clock = new FakeClock();
  const asked: { service: string; domain: string; descriptors: readonly LimitDescriptor[] }[] = [];
  const stores = new LimitStores({
    ...{ clock, random: seededRandom(1), meter: noMeter, logger: silentLogger },
    rls: ({ service }) => ({
      shouldRateLimit: (domain, descriptors) => {
        asked.push({ service, domain, descriptors });
        return new Promise((resolve) => resolve(answer(service)));
      },
    }),
  });
  const matching = { any: () => () => true, queryValue: () => undefined };
  const limits = requestLimits({ ...DEFAULT_LIMIT_REPLY, rules }, { clock, meter: noMeter, stores, matching });
  return { limits, asked };
}

test('all rules of one service and domain are one question, others are others', async () => {
  const { limits, asked } = limitsOf([
    rule('a', store('limits')),
    rule('b', store('limits')),
    rule('c', store('limits', 'inner')),
    rule('d', store('other')),
  ]);
  expect(await limits.check(request('/shop.Orders/Get'))).toMatchObject({ kind: 'allowed' });
  expect(
    asked.map(({ service, domain, descriptors }) => [service, domain, descriptors.map((it) => it.entries)]),
  ).toEqual([
    ['limits', 'edge', [[['rule', 'a']], [['rule', 'b']]]],
    ['limits', 'inner', [[['rule', 'c']]]],
    ['other', 'edge', [[['rule', 'd']]]],
  ]);
});

test('whoever is asked for limits is not asked whether he may be asked', async () => {
  const { limits, asked } = limitsOf([rule('a', store('limits'))]);
  expect(await limits.check(request(RLS_METHOD, true))).toMatchObject({ kind: 'allowed' });
  expect(asked).toEqual([]);
});

test('a request that only looks like the question escapes no limit', async () => {
  const { limits, asked } = limitsOf([rule('a', store('limits'))]);
  expect(await limits.check(request(RLS_METHOD))).toMatchObject({ kind: 'allowed' });
  expect(asked).toHaveLength(1);
});

test('what stands in for a lost service gets back what another one refused', async () => {
  const state = (allowed: boolean) => ({
    allowed,
    limit: 3,
    remaining: 2,
    resetMs: 1_000,
    retryAfterMs: allowed ? 0 : 1_000,
  });
  const of = { algorithm: 'fixed_window', requests: 3, perMs: 1_000_000 } as const;
  const answer = (allowed: boolean): LimitServiceAnswer => ({
    ...LET_THROUGH,
    allowed,
    states: [{ ...state(allowed), of, name: undefined }],
  });
  let lost = false;
  let open = true;
  const { limits } = limitsOf(
    [{ ...rule('a', store('limits')), onStoreFailure: 'local' }, rule('b', store('other'))],
    (service) => {
      if (service === 'other') return answer(open);
      if (lost) throw new Error('lost');
      return answer(true);
    },
  );
  const kind = async (): Promise<string> => (await limits.check(request('/'))).kind;
  expect(await kind()).toBe('allowed');
  lost = true;
  open = false;
  for (let i = 0; i < 5; i++) expect(await kind()).toBe('refused');
  open = true;
  expect([await kind(), await kind(), await kind(), await kind()]).toEqual([
    'allowed',
    'allowed',
    'allowed',
    'refused',
  ]);
});

const perMinute = (requests: number): Limit => ({ algorithm: 'fixed_window', requests, perMs: 60_000 });
const byUser = (of: Partial<LimitRule>): LimitRule => ({
  ...rule('a', store('limits')),
  key: [{ kind: 'header', name: 'x-user', as: 'user', absent: 'skip-entry' }],
  ...of,
});
const of = (user: string | undefined): LimitRequest =>
  limitRequest({ headers: headerFields(user === undefined ? {} : { 'x-user': user }) });

test('a limit of the rule goes with its descriptor, in place of what the service has; that of an override for its key', async () => {
  const overrides = [
    { values: ['batch'], limit: perMinute(1_000) },
    { values: ['root'], limit: 'unlimited' as const },
  ];
  const { limits, asked } = limitsOf([byUser({ limit: perMinute(10), overrides })]);
  for (const user of ['ann', 'batch', 'root', undefined]) await limits.check(of(user));
  // One that is not limited is not asked about, nor one of whom nothing is known.
  expect(asked.flatMap(({ descriptors }) => descriptors)).toEqual([
    { entries: [['user', 'ann']], hits: 1, limit: perMinute(10) },
    { entries: [['user', 'batch']], hits: 1, limit: perMinute(1_000) },
  ]);
});

test('where only some keys have a limit of the rule, the service knows those of the others', async () => {
  const { limits, asked } = limitsOf([byUser({ overrides: [{ values: ['batch'], limit: perMinute(5) }] })]);
  for (const user of ['ann', 'batch']) await limits.check(of(user));
  expect(asked.flatMap(({ descriptors }) => descriptors.map((it) => it.limit))).toEqual([undefined, perMinute(5)]);
});

test('this process counts by the limit of the rule while a service is lost that has said nothing yet', async () => {
  const lost = (): never => {
    throw new Error('lost');
  };
  const { limits } = limitsOf([byUser({ limit: perMinute(2), onStoreFailure: 'local' })], lost);
  const kinds: string[] = [];
  for (let i = 0; i < 3; i++) kinds.push((await limits.check(of('ann'))).kind);
  expect(kinds).toEqual(['allowed', 'allowed', 'refused']);
});
