import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { headerFields } from '../../../src/core/headers.js';
import type { LimitDecision, LimitRequest } from '../../../src/core/limits.js';
import { DEFAULT_LIMIT_REPLY, type LimitKey, type LimitRule, type RouteLimits } from '../../../src/core/model/limit.js';
import { limitRequest, limitRule, limitsEnv } from '../../support/limits.js';

const by = (...key: LimitKey[]): Partial<LimitRule> => ({ key });
const header = (name: string): LimitKey => ({ as: name, kind: 'header', name });
const withHeaders = (headers: Record<string, string>): LimitRequest => limitRequest({ headers: headerFields(headers) });

/** How many of these are let through. */
const passed = (rule: Partial<LimitRule>, requests: readonly LimitRequest[]): number => {
  const limits = limitsEnv().compile([limitRule(rule)]);
  return requests.filter((request) => (limits.check(request) as LimitDecision).kind === 'allowed').length;
};

describe('who is counted', () => {
  const four = (of: Partial<LimitRequest>, other: Partial<LimitRequest>): LimitRequest[] => [
    ...Array.from({ length: 4 }, () => limitRequest(of)),
    ...Array.from({ length: 4 }, () => limitRequest(other)),
  ];
  const kinds: readonly (readonly [string, LimitKey, Partial<LimitRequest>, Partial<LimitRequest>])[] = [
    [
      'header',
      header('x-user'),
      { headers: headerFields({ 'x-user': 'a' }) },
      { headers: headerFields({ 'x-user': 'b' }) },
    ],
    ['query', { as: 'q', kind: 'query', name: 'user' }, { path: '/?user=a' }, { path: '/?x=1&user=b' }],
    ['remote address', { as: 'ip', kind: 'remote_address' }, { remote: '10.0.0.1' }, { remote: '10.0.0.2' }],
    ['network', { as: 'ip', kind: 'remote_address', v4Bits: 24 }, { remote: '10.0.0.1' }, { remote: '10.0.1.1' }],
    ['identity', { as: 'id', kind: 'identity' }, { principal: 'spiffe://a/b' }, { principal: 'spiffe://a/c' }],
    [
      'claim',
      { as: 'c', kind: 'claim', path: ['org', 'tier'] },
      { claims: { org: { tier: 'a' } } },
      { claims: { org: { tier: 1 } } },
    ],
    ['route', { as: 'r', kind: 'route' }, { route: 'a' }, { route: 'b' }],
    ['method', { as: 'm', kind: 'method' }, { method: 'GET' }, { method: 'PUT' }],
    ['header that any object has', header('constructor'), { headers: headerFields({ constructor: 'a' }) }, {}],
    ['pseudo-header', header(':authority'), { host: 'a' }, { host: 'b' }],
    ['path', { as: 'p', kind: 'path' }, { path: '/a?x=1' }, { path: '/b?x=1' }],
    ['host', { as: 'h', kind: 'host' }, { host: 'Shop' }, { host: 'cart' }],
    ['destination', { as: 'd', kind: 'destination' }, { destination: 'a' }, { destination: 'b' }],
    [
      'match',
      { as: 'm', kind: 'match', value: 'yes', expect: true, query: [], headers: [present('x-a')] },
      { headers: headerFields({ 'x-a': '1' }) },
      {},
    ],
  ];
  for (const [name, key, one, other] of kinds) {
    test(`${name}: each has a count of its own`, () => {
      expect(passed(by(key), four(one, other))).toBe(4);
      expect(passed(by(key), four(one, one))).toBe(2);
    });
  }

  test('requests that lack an entry count together, or without it, or not at all', () => {
    const lacking = [
      withHeaders({ 'x-b': '1' }),
      withHeaders({ 'x-b': '2' }),
      withHeaders({ 'x-b': '1' }),
      withHeaders({}),
    ];
    expect(passed(by(header('x-a')), lacking)).toBe(2);
    expect(passed(by({ ...header('x-a'), absent: 'skip-entry' }, header('x-b')), lacking)).toBe(4);
    expect(passed(by({ ...header('x-a'), absent: 'skip-rule' }), lacking)).toBe(4);
  });

  test('an entry that is skipped, one that is empty and one that says "-" are three', () => {
    const key: LimitKey = { ...header('x-a'), absent: 'skip-entry' };
    const requests = [{}, { 'x-a': '' }, { 'x-a': '-' }].map((more) => withHeaders({ 'x-b': 'b', ...more }));
    expect(passed(by(key, header('x-b')), [...requests, ...requests, ...requests])).toBe(6);
  });

  test('no header makes one request count as another', () => {
    const text = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.stringMatching(/^[0-9:#-]{0,12}$/),
      fc.string({ minLength: 250, maxLength: 600 }),
    );
    fc.assert(
      fc.property(text, text, text, text, (a, b, c, d) => {
        fc.pre(a !== c || b !== d);
        const requests = [
          withHeaders({ 'x-a': a, 'x-b': b }),
          withHeaders({ 'x-a': a, 'x-b': b }),
          withHeaders({ 'x-a': c, 'x-b': d }),
        ];
        expect(passed(by(header('x-a'), header('x-b')), requests)).toBe(3);
      }),
    );
  });

  test('addresses of one network are one, however they are written', () => {
    const key: LimitKey = { as: 'ip', kind: 'remote_address', v4Bits: 32, v6Bits: 64 };
    const remotes = [
      '2001:db8::1',
      '2001:0DB8:0:0::2',
      '2001:db8:0:0:ffff::',
      '::ffff:10.0.0.1',
      '10.0.0.1',
      '::ffff:a00:1',
    ];
    expect(
      passed(
        by(key),
        remotes.map((remote) => limitRequest({ remote })),
      ),
    ).toBe(4);
  });

  test('two rules never share a count, whatever they are called', () => {
    const limits = limitsEnv().compile([
      limitRule({ name: 'a', key: [header('x-a')] }),
      limitRule({ name: 'a1:b', key: [] }),
    ]);
    for (let i = 0; i < 2; i++) expect(limits.check(withHeaders({ 'x-a': 'b' }))).toMatchObject({ kind: 'allowed' });
    expect(limits.check(withHeaders({ 'x-a': 'c' }))).toMatchObject({ kind: 'refused', rule: 'a1:b' });
  });
});

describe('which requests, how much', () => {
  test('only requests that a condition matches count', () => {
    const when = [
      {
        path: { kind: 'prefix', value: '/api', ignoreCase: false },
        headers: [],
        query: [],
        fraction: 1,
        grpcOnly: false,
      },
    ] as const;
    const requests = Array.from({ length: 6 }, (_, i) => limitRequest({ path: i % 2 === 0 ? '/api/x' : '/' }));
    expect(passed({ when }, requests)).toBe(5);
    expect(passed({ when: [] }, requests)).toBe(6);
  });

  test('a caller that a condition asks for is the one that was verified', () => {
    const principals = [
      { match: { kind: 'exact', value: 'spiffe://mesh/a', ignoreCase: false } as const, invert: false },
    ];
    const when = [{ ...anyRequest, source: { labels: [], principals } }];
    const requests = Array.from({ length: 6 }, (_, i) =>
      limitRequest({ principal: i % 2 === 0 ? 'spiffe://mesh/a' : undefined }),
    );
    expect(passed({ when }, requests)).toBe(5);
  });

  test('the first override that fits a key stands in for the limit', () => {
    const overrides: LimitRule['overrides'] = [
      { values: ['gold', undefined], limit: 'unlimited' },
      { values: ['gold', 'x'], limit: { algorithm: 'fixed_window', requests: 0, perMs: 1 } },
      { values: ['silver', 'x'], limit: { algorithm: 'fixed_window', requests: 3, perMs: 60_000 } },
      { values: [undefined, 'skipped'], limit: 'skip' },
    ];
    const rule = { key: [header('x-plan'), header('x-user')], overrides };
    const five = (plan: string, user: string): LimitRequest[] =>
      Array.from({ length: 5 }, () => withHeaders({ 'x-plan': plan, 'x-user': user }));
    expect(passed(rule, five('gold', 'x'))).toBe(5);
    expect(passed(rule, five('silver', 'x'))).toBe(3);
    expect(passed(rule, five('silver', 'y'))).toBe(2);
    expect(passed(rule, five('silver', 'skipped'))).toBe(5);
    expect(passed({ ...rule, limit: undefined }, five('none', 'x'))).toBe(5);
  });

  test('a request counts what its header says, and one where that is no number', () => {
    const limit = { algorithm: 'fixed_window', requests: 10, perMs: 60_000 } as const;
    const costs = ['4', '5', 'many', '1'];
    expect(
      passed(
        { cost: { header: 'X-Cost' }, limit },
        costs.map((cost) => withHeaders({ 'x-cost': cost })),
      ),
    ).toBe(3);
    expect(passed({ cost: 5, limit }, [limitRequest(), limitRequest(), limitRequest()])).toBe(2);
    expect(
      passed({ cost: { header: 'x-cost' }, limit }, [
        withHeaders({ 'x-cost': '-3' }),
        withHeaders({ 'x-cost': '1000001' }),
      ]),
    ).toBe(2);
  });

  test('when one rule refuses, the others count nothing', () => {
    const { compile } = limitsEnv();
    const narrow = limitRule({
      name: 'narrow',
      key: [header('x-user')],
      limit: { algorithm: 'fixed_window', requests: 1, perMs: 60_000 },
    });
    const wide = limitRule({ name: 'wide', limit: { algorithm: 'fixed_window', requests: 3, perMs: 60_000 } });
    for (const rules of [
      [narrow, wide],
      [wide, narrow],
    ]) {
      const limits = compile(rules.map((rule) => ({ ...rule, name: `${rule.name} ${rules.indexOf(rule)}` })));
      const kinds = ['a', 'a', 'a', 'b', 'c', 'd'].map(
        (user) => (limits.check(withHeaders({ 'x-user': user })) as LimitDecision).kind,
      );
      expect(kinds).toEqual(['allowed', 'refused', 'refused', 'allowed', 'allowed', 'refused']);
    }
  });

  test('counts outlive an update of the configuration', () => {
    const { compile } = limitsEnv();
    expect(compile([limitRule()]).check(limitRequest())).toMatchObject({ kind: 'allowed' });
    expect(compile([limitRule()]).check(limitRequest())).toMatchObject({ kind: 'allowed' });
    expect(compile([limitRule()]).check(limitRequest())).toMatchObject({ kind: 'refused' });
    const more = limitRule({ limit: { algorithm: 'fixed_window', requests: 3, perMs: 60_000 } });
    expect(compile([more]).check(limitRequest())).toMatchObject({ kind: 'allowed' });
    expect(compile([more]).check(limitRequest())).toMatchObject({ kind: 'refused' });
  });

  test('a shadow rule changes nothing but what is told', () => {
    const shadow = limitRule({
      name: 'shadow',
      mode: 'shadow',
      limit: { algorithm: 'fixed_window', requests: 1, perMs: 60_000 },
    });
    const alone = limitsEnv();
    const beside = limitsEnv();
    const [without, withShadow] = [alone.compile([limitRule()]), beside.compile([shadow, limitRule()])];
    for (let i = 0; i < 4; i++) expect(withShadow.check(limitRequest())).toEqual(without.check(limitRequest()));
    const refused = { kind: 'limit:refused', protocol: 'http', reason: 'limit' } as const;
    expect(alone.events).toEqual([
      { ...refused, rule: 'rule', shadow: false },
      { ...refused, rule: 'rule', shadow: false },
    ]);
    expect(beside.events).toEqual([{ ...refused, rule: 'shadow', shadow: true }, ...alone.events]);
  });
});

describe('what is answered', () => {
  const sixty = limitRule({
    name: 'ns/policy/rule',
    limit: { algorithm: 'fixed_window', requests: 60, perMs: 600_000 },
  });

  test('the worked case: 60 / 0 / the second of the reset', async () => {
    const { clock, compile } = limitsEnv();
    const limits = compile([sixty]);
    await clock.advance(500);
    for (let i = 0; i < 59; i++) limits.check(limitRequest());
    const end = (Math.floor(clock.wallTime() / 600_000) + 1) * 600_000;
    const said = { 'x-ratelimit-limit': '60', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(end / 1_000) };
    const standard = {
      'ratelimit-policy': '"ns/policy/rule";q=60;w=600',
      ratelimit: `"ns/policy/rule";r=0;t=${Math.ceil((end - clock.wallTime()) / 1_000)}`,
    };
    expect(limits.check(limitRequest())).toEqual({ kind: 'allowed', headers: { ...said, ...standard } });
    expect(limits.check(limitRequest())).toEqual({
      kind: 'refused',
      rule: 'ns/policy/rule',
      flag: 'RL',
      status: 429,
      grpcStatus: 8,
      retryAfterMs: end - clock.wallTime(),
      headers: {
        ...said,
        ...standard,
        'x-envoy-ratelimited': 'true',
        'retry-after': String(Math.ceil((end - clock.wallTime()) / 1_000)),
      },
    });
  });

  test('the reset can be said in seconds from now, and fields be left out', () => {
    const { compile } = limitsEnv();
    const check = (headers: Partial<RouteLimits['headers']>): unknown =>
      compile([sixty], { headers: { ...DEFAULT_LIMIT_REPLY.headers, ...headers } }).check(limitRequest());
    const said = { 'x-ratelimit-limit': '60', 'x-ratelimit-remaining': '59', 'x-ratelimit-reset': '600' };
    expect(check({ xRateLimit: 'seconds', standard: false })).toMatchObject({ headers: said });
    expect(check({ xRateLimit: 'off', standard: false })).toEqual({ kind: 'allowed', headers: undefined });
    expect(Object.keys((check({ xRateLimit: 'off', standard: true }) as { headers: object }).headers)).toEqual([
      'ratelimit-policy',
      'ratelimit',
    ]);
  });

  test('of several rules x-ratelimit tells of the one that leaves least; the standard fields of all', () => {
    const { compile } = limitsEnv();
    const bucket = limitRule({
      name: 'a "b" ü',
      limit: { algorithm: 'token_bucket', requests: 10, perMs: 1_000, burst: 5 },
    });
    const limits = compile([
      sixty,
      bucket,
      limitRule({ name: 'month', limit: { algorithm: 'calendar', requests: 9, per: 'month', timeZone: 'UTC' } }),
    ]);
    expect(limits.check(limitRequest())).toMatchObject({
      headers: {
        'x-ratelimit-limit': '5',
        'x-ratelimit-remaining': '4',
        'ratelimit-policy': '"ns/policy/rule";q=60;w=600, "a \\"b\\" ?";q=5;w=1, "month";q=9',
        ratelimit: expect.stringMatching(/^"ns\/policy\/rule";r=59;t=600, "a \\"b\\" \?";r=4;t=1, "month";r=8;t=\d+$/),
      },
    });
  });

  test('Retry-After is rounded up, never 0, and left out where nothing will ever be let through', () => {
    const { compile } = limitsEnv();
    const bucket = (requests: number): LimitRule =>
      limitRule({ name: `${requests}`, limit: { algorithm: 'token_bucket', requests, perMs: 1_000, burst: 1 } });
    const limits = compile([bucket(10)]);
    limits.check(limitRequest());
    expect(limits.check(limitRequest())).toMatchObject({ retryAfterMs: 100, headers: { 'retry-after': '1' } });
    const verdict = compile([bucket(0)]).check(limitRequest()) as LimitDecision;
    expect(verdict).toMatchObject({ kind: 'refused', retryAfterMs: undefined, headers: { 'x-ratelimit-limit': '0' } });
    expect(verdict.headers).not.toHaveProperty('retry-after');
  });

  test('status and gRPC status are what the configuration says', () => {
    const limits = limitsEnv().compile([limitRule({ limit: { algorithm: 'sliding_log', requests: 0, perMs: 1 } })], {
      status: 503,
      grpcStatus: 14,
    });
    expect(limits.check(limitRequest())).toMatchObject({ status: 503, grpcStatus: 14 });
  });

  test('a request that no rule counts is told nothing', () => {
    expect(
      limitsEnv()
        .compile([limitRule({ when: [] })])
        .check(limitRequest()),
    ).toEqual({ kind: 'allowed', headers: undefined });
  });
});

test('uses of metered rules are told by key and plan, when they were let through', () => {
  const uses: unknown[] = [];
  const { compile } = limitsEnv({ uses: { used: (use) => uses.push(use) } });
  const rule = limitRule({
    key: [header('x-user')],
    meter: { plan: 'free' },
    cost: 2,
    limit: { algorithm: 'fixed_window', requests: 2, perMs: 60_000 },
    overrides: [{ values: ['vip'], limit: 'unlimited' }],
  });
  const limits = compile([rule]);
  for (const user of ['a', 'a', 'vip']) limits.check(withHeaders({ 'x-user': user }));
  const told = { rule: 'rule', plan: 'free', names: ['x-user'], cost: 2 };
  expect(uses).toEqual([
    { ...told, key: ['a'], limit: rule.limit },
    { ...told, key: ['vip'], limit: undefined },
  ]);
});

const anyRequest = {
  path: { kind: 'prefix', value: '', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
} as const;

function present(name: string) {
  return { name, match: { kind: 'present', present: true }, invert: false, treatMissingAsEmpty: false } as const;
}
