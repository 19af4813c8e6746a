import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { AuthzCondition, RbacFilter, RbacPolicy, RbacRules } from '../../../src/core/model/authorization.js';
import type { SafeRegex } from '../../../src/core/model/match.js';
import { Authorizer } from '../../../src/identity/authz/authorizer.js';
import type { AuthzRequest } from '../../../src/identity/authz/request.js';
import { CompiledRules, policyTest, type RuleDecision } from '../../../src/identity/authz/rules.js';
import { ANY, atPath, authzRequest, calledBy, exact, peer, prefix, rbacPolicy, rules } from './requests.js';

const env = { wallTime: () => 0 };
const decide = (given: RbacRules, request: AuthzRequest): RuleDecision =>
  new CompiledRules(given, 'f', false, env).decide(request);
const allows = (condition: AuthzCondition, request: AuthzRequest): boolean =>
  decide(rules('ALLOW', rbacPolicy('p', condition)), request).allowed;
const denies = (condition: AuthzCondition, request: AuthzRequest): boolean =>
  !decide(rules('DENY', rbacPolicy('p', condition)), request).allowed;

/** Of a connection that is gone, or of a kind that has no addresses. */
describe('where a request came from, when nobody can tell', () => {
  const nowhere = authzRequest({
    peerAddress: undefined,
    clientAddress: undefined,
    localAddress: undefined,
    localPort: undefined,
  });
  const range = { address: '10.0.0.0', prefixLength: 8 };
  const asked: readonly AuthzCondition[] = [
    { kind: 'peer-ip', range },
    { kind: 'remote-ip', range },
    { kind: 'destination-ip', range },
    { kind: 'destination-port', port: 8080 },
  ];
  test.each(asked)('$kind: whatever is denied is denied to it, and nothing is allowed to it', (condition) => {
    const not: AuthzCondition = { kind: 'not', of: condition };
    expect([denies(condition, nowhere), denies(not, nowhere)]).toEqual([true, true]);
    expect([allows(condition, nowhere), allows(not, nowhere)]).toEqual([false, false]);
  });

  test('an address that is none is as good as unknown', () => {
    const condition: AuthzCondition = { kind: 'peer-ip', range };
    expect(denies(condition, authzRequest({ peerAddress: 'here' }))).toBe(true);
  });
});

describe('rules', () => {
  const own = authzRequest({ path: '/a' });
  test.each<[RbacRules, boolean, string | undefined]>([
    [rules('ALLOW'), false, undefined],
    [rules('ALLOW', rbacPolicy('p', atPath('/b'))), false, undefined],
    [rules('ALLOW', rbacPolicy('p', atPath('/b')), rbacPolicy('q', atPath('/a'))), true, 'q'],
    [rules('DENY'), true, undefined],
    [rules('DENY', rbacPolicy('p', atPath('/a'))), false, 'p'],
    [rules('DENY', rbacPolicy('p', atPath('/b'))), true, undefined],
    [rules('LOG', rbacPolicy('p', atPath('/a'))), true, 'p'],
  ])('%# decide, and say which policy it was', (given, allowed, policy) => {
    expect(decide(given, own)).toMatchObject({ allowed, policy, filter: 'f' });
  });

  test('name the first policy that matches, in their order, wherever it was found', () => {
    const everybody = rbacPolicy('a');
    const byPath = rbacPolicy('b', atPath('/a'));
    const byPrefix = rbacPolicy('c', { kind: 'path', match: prefix('/') });
    expect(decide(rules('ALLOW', byPath, everybody, byPrefix), own).policy).toBe('b');
    expect(decide(rules('ALLOW', everybody, byPath, byPrefix), own).policy).toBe('a');
    expect(decide(rules('ALLOW', byPrefix, byPath, everybody), own).policy).toBe('c');
  });

  test('of several filters: each has to let a request through, and what denies is the decision', () => {
    const filters: RbacFilter[] = [
      { name: 'deny', rules: rules('DENY', rbacPolicy('no', atPath('/no'))) },
      { name: 'none' },
      { name: 'allow', rules: rules('ALLOW', rbacPolicy('yes')) },
    ];
    const authorizer = new Authorizer(filters, env, () => {});
    expect(authorizer.decide(authzRequest({ path: '/no' }))).toMatchObject({
      allowed: false,
      filter: 'deny',
      policy: 'no',
    });
    expect(authorizer.decide(own)).toMatchObject({ allowed: true, filter: 'allow', policy: 'yes' });
  });

  test('of a dry run are told, and change nothing', () => {
    const told: RuleDecision[] = [];
    const filters: RbacFilter[] = [{ name: 'f', shadow: rules('ALLOW') }];
    const decision = new Authorizer(filters, env, (one) => told.push(one)).decide(own);
    expect([decision.allowed, told.map(({ allowed, shadow }) => [allowed, shadow])]).toEqual([true, [[false, true]]]);
  });

  test.each([
    ['NONE', []],
    ['ON_DENY', ['/no']],
    ['ON_ALLOW', ['/a']],
    ['ON_DENY_AND_ALLOW', ['/a', '/no']],
  ] as const)('tell those of condition %s to their loggers (gRFC A59)', (condition, expected) => {
    const told: string[] = [];
    const given: RbacRules = {
      ...rules('DENY', rbacPolicy('no', atPath('/no'))),
      audit: { condition, loggers: ['stdout'] },
    };
    const authorizer = new Authorizer([{ name: 'f', rules: given }], env, (_, { judgedPath }) => told.push(judgedPath));
    for (const path of ['/a', '/no']) authorizer.decide(authzRequest({ path }));
    expect(told).toEqual(expected);
  });
});

describe('principals (gRFC A41, the four steps)', () => {
  const uri = peer({ uriSans: ['spiffe://a/x', 'spiffe://a/y'], dnsSans: ['x.example'], subject: 'CN=x' });
  const dns = peer({ dnsSans: ['x.example', 'y.example'], subject: 'CN=x' });
  const subject = peer({ subject: 'CN=x,O=o' });
  const by = (name: string, request: Partial<AuthzRequest>): boolean =>
    allows(calledBy(name), authzRequest(request as never));
  test.each<[string, string, Partial<AuthzRequest>, boolean]>([
    ['any of its URI names', 'spiffe://a/y', { peerIdentity: uri }, true],
    ['not a DNS name where it has a URI', 'x.example', { peerIdentity: uri }, false],
    ['any of its DNS names where it has no URI', 'y.example', { peerIdentity: dns }, true],
    ['not its subject where it has a DNS name', 'CN=x', { peerIdentity: dns }, false],
    ['its subject where it has neither', 'CN=x,O=o', { peerIdentity: subject }, true],
    ['the empty text without a certificate', '', { secure: true }, true],
    ['nothing else without a certificate', 'x', { secure: true }, false],
    ['nothing on a plain connection', '', {}, false],
  ])('a caller goes by %s', (_, name, request, expected) => {
    expect(by(name, request)).toBe(expected);
  });

  test('without a name whoever came by TLS matches', () => {
    const any: AuthzCondition = { kind: 'authenticated', name: undefined };
    expect([allows(any, authzRequest({ secure: true })), allows(any, authzRequest())]).toEqual([true, false]);
  });
});

describe('headers', () => {
  const asked = (value: string, invert = false): AuthzCondition => ({
    kind: 'header',
    header: { name: 'x-role', match: exact(value), invert, treatMissingAsEmpty: false },
  });
  const twice = authzRequest({ headers: { 'x-role': ['admin', 'guest'] } });
  test('there several times are one, joined by a comma (gRFC A41)', () => {
    expect(allows(asked('admin,guest'), twice)).toBe(true);
    expect(allows(asked('admin'), twice)).toBe(false);
  });
  test('there several times are denied by any of their values, so that a second one gets round no rule', () => {
    expect(denies(asked('guest'), twice)).toBe(true);
    expect(denies({ kind: 'not', of: { kind: 'not', of: asked('guest') } }, twice)).toBe(true);
    expect(allows({ kind: 'not', of: asked('guest') }, twice)).toBe(false);
    expect(allows(asked('guest', true), twice)).toBe(false);
  });
  test('that are not there match nothing, and no inverted one either', () => {
    expect([allows(asked('a'), authzRequest()), allows(asked('a', true), authzRequest())]).toEqual([false, false]);
    expect(allows({ kind: 'not', of: asked('a') }, authzRequest())).toBe(true);
  });
  test.each(['te', 'connection'])('%s is not seen (gRFC A41)', (name) => {
    const header = {
      name,
      match: { kind: 'present', present: true },
      invert: false,
      treatMissingAsEmpty: false,
    } as const;
    expect(denies({ kind: 'header', header }, authzRequest({ headers: { [name]: 'x' } }))).toBe(false);
  });
  test.each([':authority', 'host'])('%s is the host that is asked for', (name) => {
    const header = { name, match: exact('reviews'), invert: false, treatMissingAsEmpty: false };
    expect(allows({ kind: 'header', header }, authzRequest())).toBe(true);
  });
});

describe('other conditions', () => {
  const range = (address: string, prefixLength: number) => ({ address, prefixLength });
  const request = authzRequest({ peerAddress: '10.1.2.3', clientAddress: '2001:db8::1', serverName: 'a.example' });
  const claims = { iss: 'https://i', sub: 'u', groups: ['a', 'b'], org: { id: 7 }, scope: 'read write' };
  test.each<[string, AuthzCondition, boolean]>([
    ['peer in a network', { kind: 'peer-ip', range: range('10.0.0.0', 8) }, true],
    ['peer outside', { kind: 'peer-ip', range: range('10.2.0.0', 16) }, false],
    ['every address of its family', { kind: 'peer-ip', range: range('::', 0) }, false],
    ['client', { kind: 'remote-ip', range: range('2001:db8::', 32) }, true],
    ['destination', { kind: 'destination-ip', range: range('10.0.0.9', 32) }, true],
    ['port', { kind: 'destination-port', port: 8080 }, true],
    ['other port', { kind: 'destination-port', port: 80 }, false],
    ['server name', { kind: 'server-name', match: exact('a.example') }, true],
    ['metadata never', { kind: 'metadata', invert: false }, false],
    ['inverted metadata always', { kind: 'metadata', invert: true }, true],
    ['no claim without a token', { kind: 'claim', path: ['sub'], match: exact('u') }, false],
  ])('%s', (_, condition, expected) => {
    expect(allows(condition, request)).toBe(expected);
  });
  test.each<[readonly string[], string, boolean]>([
    [['sub'], 'u', true],
    [['groups'], 'b', true],
    [['groups'], 'c', false],
    [['org', 'id'], '7', true],
    [['org'], '[object Object]', false],
    [['scope'], 'write', true],
    [['constructor', 'name'], 'Object', false],
  ])('claim %j is %s: %s', (path, value, expected) => {
    expect(allows({ kind: 'claim', path, match: exact(value) }, authzRequest({ claims }))).toBe(expected);
  });
  test('a token’s principal is issuer and subject', () => {
    const condition: AuthzCondition = { kind: 'request-principal', match: exact('https://i/u') };
    expect([
      allows(condition, authzRequest({ claims })),
      allows(condition, authzRequest({ claims: { sub: 'u' } })),
    ]).toEqual([true, false]);
  });
});

const leaf: fc.Arbitrary<AuthzCondition> = fc.oneof(
  fc.constant(ANY),
  fc.constantFrom('/a', '/a/b', '/b', '/A').map(atPath),
  fc.constantFrom('/a', '/', '/b').map((value): AuthzCondition => ({ kind: 'path', match: prefix(value) })),
  fc
    .constantFrom('b', '/b')
    .map((value): AuthzCondition => ({ kind: 'path', match: { kind: 'suffix', value, ignoreCase: true } })),
  fc.constantFrom('spiffe://a/x', 'spiffe://a/y', '').map(calledBy),
  fc.constant<AuthzCondition>({ kind: 'authenticated', name: prefix('spiffe://a/') }),
  fc.tuple(fc.constantFrom('reviews', 'other'), fc.boolean()).map(
    ([value, invert]): AuthzCondition => ({
      kind: 'header',
      header: { name: ':authority', match: exact(value), invert, treatMissingAsEmpty: false },
    }),
  ),
  fc.constant<AuthzCondition>({ kind: 'destination-port', port: 8080 }),
);
const { tree } = fc.letrec<{ tree: AuthzCondition }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3 },
    leaf,
    fc.record({
      kind: fc.constantFrom('and' as const, 'or' as const),
      of: fc.array(tie('tree'), { minLength: 1, maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('not' as const), of: tie('tree') }),
  ),
}));
const somePolicy = fc.record({
  permissions: fc.array(tree, { minLength: 1, maxLength: 2 }),
  principals: fc.array(tree, { minLength: 1, maxLength: 2 }),
});
const someRequest = fc
  .record({
    path: fc.constantFrom('/a', '/a/b', '/b', '/', '/A/b'),
    host: fc.constantFrom('reviews', 'REVIEWS', 'x'),
    peerIdentity: fc.constantFrom(
      undefined,
      peer({ uriSans: ['spiffe://a/x'] }),
      peer({ uriSans: ['spiffe://a/y', 'spiffe://a/x'] }),
    ),
    secure: fc.boolean(),
  })
  .map((given) => authzRequest({ ...given, secure: given.secure || given.peerIdentity !== undefined }));

describe('the index', () => {
  test('decides as one does who asks every policy in turn, and by the same policy', () => {
    fc.assert(
      fc.property(
        fc.constantFrom('ALLOW' as const, 'DENY' as const),
        fc.array(somePolicy, { maxLength: 8 }),
        someRequest,
        (action, all, request) => {
          const policies: RbacPolicy[] = all.map((one, i) => ({ name: `p${i}`, ...one }));
          const first = policies.find((one) => policyTest(one, env, action === 'DENY')(request));
          expect(decide({ action, policies }, request)).toMatchObject({
            policy: first?.name,
            allowed: (first !== undefined) === (action === 'ALLOW'),
          });
        },
      ),
      { numRuns: 3_000 },
    );
  });

  /** Counts how often any policy is looked at. */
  function counted(count: number, indexed: (i: number) => AuthzCondition) {
    let looks = 0;
    const regex: SafeRegex = {
      source: '.*',
      matches: () => {
        looks++;
        return true;
      },
      replaceAll: (text) => text,
    };
    const look: AuthzCondition = { kind: 'path', match: { kind: 'regex', regex } };
    const policies = Array.from({ length: count }, (_, i) =>
      rbacPolicy(`p${i}`, { kind: 'and', of: [look, indexed(i)] }),
    );
    const compiled = new CompiledRules(rules('ALLOW', ...policies), 'f', false, env);
    return (request: AuthzRequest): number => {
      looks = 0;
      compiled.decide(request);
      return looks;
    };
  }

  const host = (value: string): AuthzCondition => ({
    kind: 'header',
    header: { name: ':authority', match: exact(value), invert: false, treatMissingAsEmpty: false },
  });
  test.each<[string, (i: number) => AuthzCondition, AuthzRequest]>([
    ['path', (i) => atPath(`/svc/${i}`), authzRequest({ path: '/svc/7' })],
    ['prefix', (i) => ({ kind: 'path', match: prefix(`/svc/${i}/`) }), authzRequest({ path: '/svc/7/x' })],
    [
      'principal',
      (i) => calledBy(`spiffe://a/${i}`),
      authzRequest({ peerIdentity: peer({ uriSans: ['spiffe://a/7'] }) }),
    ],
    ['host', (i) => host(`h${i}`), authzRequest({ host: 'h7' })],
    [
      'the one of several that tells them apart',
      (i) => ({ kind: 'and', of: [atPath('/same'), calledBy(`spiffe://a/${i}`)] }),
      authzRequest({ path: '/same', peerIdentity: peer({ uriSans: ['spiffe://a/7'] }) }),
    ],
  ])('by %s looks at one policy of 10, of 100 and of 1,000', (_, condition, request) => {
    expect([10, 100, 1_000].map((count) => counted(count, condition)(request))).toEqual([1, 1, 1]);
    expect(
      [10, 100, 1_000].map((count) => counted(count, condition)(authzRequest({ path: '/none', host: 'none' }))),
    ).toEqual([0, 0, 0]);
  });
});
