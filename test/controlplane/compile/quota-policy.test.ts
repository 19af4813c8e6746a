import { describe, expect, test } from 'vitest';
import type { LimitRule } from '../../../src/core/model/limit.js';
import { compileYaml, requestPolicyYaml, routesOf, serviceYaml } from '../../support/mesh-yaml.js';
import { limitsOf } from '../../support/request-policies.js';

/** The rules of a policy of Service `a`. */
const rulesOf = (spec: string): readonly LimitRule[] =>
  limitsOf(
    routesOf(
      compileYaml(serviceYaml('a') + requestPolicyYaml('QuotaPolicy', 'q', 'kind: Service, name: a', spec)),
      'a.default:80',
    )[0],
  )?.rules ?? [];

const PLANS =
  'plans: [{ name: free, limits: [{ requests: 10, per: day }, { requests: 2, per: 1m }] }, { name: gold, unlimited: true }, { name: pro, limits: [{ requests: 99, per: month }] }]';
const DAY = { algorithm: 'calendar', requests: 10, per: 'day', timeZone: 'UTC' };
const MINUTE = { algorithm: 'token_bucket', requests: 2, perMs: 60_000, burst: 2 };
const MONTH = { algorithm: 'calendar', requests: 99, per: 'month', timeZone: 'UTC' };

describe('a QuotaPolicy', () => {
  test('is a rule for each limit of each plan; the first of a plan meters', () => {
    expect(
      rulesOf(`subject: [{ header: x-key }], plan: { header: x-plan }, ${PLANS}`).map(
        ({ name, limit, overrides, meter }) => ({ name, limit, overrides, meter }),
      ),
    ).toEqual([
      { name: 'default/q/free/day', limit: DAY, meter: { plan: 'free' } },
      { name: 'default/q/free/1m', limit: MINUTE },
      {
        name: 'default/q/gold/unlimited',
        overrides: [{ values: [undefined], limit: 'unlimited' }],
        meter: { plan: 'gold' },
      },
      { name: 'default/q/pro/month', limit: MONTH, meter: { plan: 'pro' } },
    ]);
  });

  test('has a header that says the plan as a condition, and those who make up plans in no plan', () => {
    const rules = rulesOf(`subject: [{ header: x-key }], plan: { header: X-Plan }, ${PLANS}`);
    expect(rules.map(({ key }) => key.length)).toEqual([1, 1, 1, 1]);
    expect(rules[0]?.when).toMatchObject([
      { path: { kind: 'prefix', value: '/' }, headers: [{ name: 'x-plan', match: { kind: 'exact', value: 'free' } }] },
    ]);
  });

  test('counts those who name no plan, or one that there is not, with the default plan', () => {
    const rules = rulesOf(`subject: [{ header: x-key }], plan: { header: x-plan }, defaultPlan: free, ${PLANS}`);
    const no = (value: string) => ({
      name: 'x-plan',
      match: { kind: 'exact', value },
      invert: true,
      treatMissingAsEmpty: true,
    });
    expect(rules[0]?.when).toMatchObject([{ headers: [no('gold'), no('pro')] }]);
    expect(rules[2]?.when).toMatchObject([{ headers: [{ match: { value: 'gold' }, invert: false }] }]);
  });

  test('has a claim that says the plan in the key, and each rule for its own plan alone', () => {
    const rules = rulesOf(
      `subject: [{ claim: sub }, { header: b }], plan: { claim: [app, plan] }, defaultPlan: free, ${PLANS}`,
    );
    expect(rules.every(({ key, when, limit }) => key.length === 3 && when === undefined && limit === undefined)).toBe(
      true,
    );
    expect(rules[0]?.key[0]).toEqual({ kind: 'claim', as: 'plan', path: ['app', 'plan'] });
    const any = [undefined, undefined];
    expect(rules.map(({ overrides }) => overrides)).toEqual([
      [
        { values: ['gold', ...any], limit: 'skip' },
        { values: ['pro', ...any], limit: 'skip' },
        { values: [undefined, ...any], limit: DAY },
      ],
      [
        { values: ['gold', ...any], limit: 'skip' },
        { values: ['pro', ...any], limit: 'skip' },
        { values: [undefined, ...any], limit: MINUTE },
      ],
      [{ values: ['gold', ...any], limit: 'unlimited' }],
      [{ values: ['pro', ...any], limit: MONTH }],
    ]);
  });

  test('with one plan has it for everybody', () => {
    const [rule, ...others] = rulesOf(
      'subject: [{ remoteAddress: {} }], plans: [{ name: all, limits: [{ requests: 1, per: week, timeZone: Asia/Tokyo }] }], store: { redis: {} }, mode: shadow',
    );
    expect(others).toEqual([]);
    expect(rule).toEqual({
      name: 'default/q/all/week',
      key: [{ kind: 'remote_address', as: 'remote_address' }],
      limit: { algorithm: 'calendar', requests: 1, per: 'week', timeZone: 'Asia/Tokyo' },
      mode: 'shadow',
      store: { kind: 'redis', name: 'default', timeoutMs: 50 },
      onStoreFailure: 'local',
      meter: { plan: 'all' },
    });
  });
});
