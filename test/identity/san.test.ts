import { X509Certificate } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { StringMatch } from '../../src/core/model/match.js';
import type { SanMatch, SanType } from '../../src/core/model/tls.js';
import { safeRegex } from '../../src/core/regex/safe-regex.js';
import { readCertificates } from '../../src/identity/certificate.js';
import type { GeneralName } from '../../src/identity/general-names.js';
import { dnsNameMatches, hasAddress, hasDnsName, sanMatches } from '../../src/identity/san.js';
import { testCa } from '../support/pki.js';
import { subjectAltName } from '../support/pki-extensions.js';

const string = (kind: 'exact' | 'prefix' | 'suffix' | 'contains', value: string, ignoreCase = false): StringMatch => ({
  kind,
  value,
  ignoreCase,
});
const match = (type: SanType, by: StringMatch, oid?: string): SanMatch => ({ type, match: by, oid });

const NAMES: readonly GeneralName[] = [
  { type: 'URI', value: 'spiffe://cluster.local/ns/default/sa/web' },
  { type: 'DNS', value: '*.example.com' },
  { type: 'DNS', value: 'Web' },
  { type: 'IP_ADDRESS', value: '2001:db8::7' },
  { type: 'EMAIL', value: 'ops@example.com' },
  { type: 'OTHER_NAME', value: 'user@realm', oid: '1.3.6.1.4.1.311.20.2.3' },
  { type: 'URI', value: '' },
];

describe('matching of names', () => {
  test.each<[string, SanMatch, boolean]>([
    ['URI, exact', match('URI', string('exact', 'spiffe://cluster.local/ns/default/sa/web')), true],
    ['URI, exact, other capitals', match('URI', string('exact', 'SPIFFE://cluster.local/ns/default/sa/web')), false],
    [
      'URI, exact, ignoring case',
      match('URI', string('exact', 'SPIFFE://cluster.local/ns/default/sa/web', true)),
      true,
    ],
    ['URI, prefix', match('URI', string('prefix', 'spiffe://cluster.local/')), true],
    ['URI, suffix', match('URI', string('suffix', '/sa/web')), true],
    ['URI, contains', match('URI', string('contains', '/ns/default/')), true],
    [
      'URI, regular expression over all of it',
      match('URI', { kind: 'regex', regex: safeRegex('spiffe://.*/sa/web') }),
      true,
    ],
    ['URI, regular expression over a part', match('URI', { kind: 'regex', regex: safeRegex('/sa/web') }), false],
    ['an exact DNS name, under a wildcard', match('DNS', string('exact', 'a.example.com')), true],
    ['a wildcard stands for one label', match('DNS', string('exact', 'a.b.example.com')), false],
    ['a wildcard stands for no fewer', match('DNS', string('exact', 'example.com')), false],
    ['DNS names have no capitals', match('DNS', string('exact', 'WEB')), true],
    ['a prefix sees the wildcard as it stands', match('DNS', string('prefix', 'a.')), false],
    ['a suffix sees it as it stands', match('DNS', string('suffix', '.example.com')), true],
    [
      'the type must be the one asked for',
      match('DNS', string('exact', 'spiffe://cluster.local/ns/default/sa/web')),
      false,
    ],
    ['an address, written in full', match('IP_ADDRESS', string('exact', '2001:0db8:0:0:0:0:0:7')), true],
    ['an address, another', match('IP_ADDRESS', string('exact', '2001:db8::8')), false],
    ['an address by prefix', match('IP_ADDRESS', string('prefix', '2001:db8:')), true],
    ['an e-mail address', match('EMAIL', string('exact', 'ops@example.com')), true],
    ['another name, of its kind', match('OTHER_NAME', string('exact', 'user@realm'), '1.3.6.1.4.1.311.20.2.3'), true],
    ['another name, of another kind', match('OTHER_NAME', string('exact', 'user@realm'), '1.2.3'), false],
    ['whatever type: URI', match('any', string('exact', 'spiffe://cluster.local/ns/default/sa/web')), true],
    ['whatever type: DNS with its wildcard', match('any', string('exact', 'a.example.com')), true],
    ['whatever type, but no other names', match('any', string('exact', 'user@realm')), false],
    ['an empty name matches nothing, not even everything', match('URI', string('exact', '')), false],
  ])('%s', (_, matcher, holds) => {
    expect(sanMatches(NAMES, [matcher])).toBe(holds);
    expect(sanMatches(NAMES, [match('URI', string('exact', 'no')), matcher])).toBe(holds);
  });

  test('an empty list asks for nothing; a list asks for something even of a certificate without names', () => {
    expect(sanMatches([], [])).toBe(true);
    expect(sanMatches([], [match('any', string('prefix', ''))])).toBe(false);
  });

  test.each([
    ['a.example.com', 'a.example.com', true],
    ['a.example.com.', 'a.example.com', true],
    ['a.example.com', '*.example.com', true],
    ['.example.com', '*.example.com', false],
    ['*.example.com', '*.example.com', false],
    ['a.example.com', '*.*.com', false],
    ['a.example.com', 'a*.example.com', false],
    ['a.example.com', '*', false],
    ['a', '*.', false],
    ['', '', false],
  ])('%j is named by %j: %j', (host, name, holds) => {
    expect(dnsNameMatches(host, name)).toBe(holds);
  });

  test('a server name is looked for among DNS names, an address among addresses', () => {
    expect(hasDnsName(NAMES, 'web')).toBe(true);
    expect(hasDnsName(NAMES, '2001:db8::7')).toBe(false);
    expect(hasAddress(NAMES, '2001:DB8::7')).toBe(true);
    expect(hasAddress(NAMES, 'web')).toBe(false);
  });

  test('names and matchers of any kind give an answer, and a wildcard never stands for more than a label', () => {
    const anyName = fc.record({ type: fc.constantFrom('DNS', 'URI', 'EMAIL', 'IP_ADDRESS'), value: fc.string() });
    const anyMatch = fc.record({
      type: fc.constantFrom('DNS', 'URI', 'EMAIL', 'IP_ADDRESS', 'any'),
      match: fc.record({
        kind: fc.constantFrom('exact', 'prefix', 'suffix', 'contains'),
        value: fc.string(),
        ignoreCase: fc.boolean(),
      }),
    });
    fc.assert(
      fc.property(fc.array(anyName), fc.array(anyMatch), (names, matches) => {
        expect(typeof sanMatches(names as GeneralName[], matches as SanMatch[])).toBe('boolean');
      }),
      { seed: 1, numRuns: 1000 },
    );
    const label = fc.stringMatching(/^[a-z0-9-]{1,5}$/);
    fc.assert(
      fc.property(
        fc.array(label, { minLength: 1, maxLength: 4 }),
        fc.array(label, { minLength: 1, maxLength: 3 }),
        (host, suffix) => {
          const covered = host.length === suffix.length + 1 && host.slice(1).join('.') === suffix.join('.');
          expect(dnsNameMatches(host.join('.'), `*.${suffix.join('.')}`)).toBe(covered);
        },
      ),
      { seed: 2, numRuns: 1000 },
    );
  });
});

describe('names in certificates', () => {
  test('are read from the DER, of every kind', () => {
    const { certificates } = testCa().issue({
      dns: ['a.example', '*.b.example'],
      ip: ['10.0.0.1', '2001:db8::7', '::1'],
      emails: ['a@b.example'],
      uris: ['https://x.example/?a=b'],
      otherNames: [{ oid: '1.3.6.1.4.1.311.20.2.3', value: 'user@réalm' }],
    });
    expect(readCertificates(certificates[0])[0].names).toEqual([
      { type: 'URI', value: 'spiffe://cluster.local/ns/default/sa/web' },
      { type: 'URI', value: 'https://x.example/?a=b' },
      { type: 'DNS', value: 'a.example' },
      { type: 'DNS', value: '*.b.example' },
      { type: 'IP_ADDRESS', value: '10.0.0.1' },
      { type: 'IP_ADDRESS', value: '2001:db8::7' },
      { type: 'IP_ADDRESS', value: '::1' },
      { type: 'EMAIL', value: 'a@b.example' },
      { type: 'OTHER_NAME', oid: '1.3.6.1.4.1.311.20.2.3', value: 'user@réalm' },
    ]);
  });

  test('one name that pretends to be two stays one (CVE-2021-44532)', () => {
    const { certificates } = testCa().issue({
      spiffeId: undefined,
      ip: [],
      dns: ['a.example, URI:spiffe://cluster.local/admin'],
    });
    const [{ names }] = readCertificates(certificates[0]);
    expect(names).toEqual([{ type: 'DNS', value: 'a.example, URI:spiffe://cluster.local/admin' }]);
    expect(new X509Certificate(certificates[0]).subjectAltName).toContain('URI:spiffe://cluster.local/admin');
  });

  test.each(['spiffe://cluster.local/a\u0000.evil', 'spiffe://cluster.local/a\nb', 'spiffe://cluster.local/\u00e9'])(
    'with characters that are not allowed in them, the certificate is refused: %j',
    (spiffeId) => {
      const { certificates } = testCa().issue({ spiffeId });
      expect(() => readCertificates(certificates[0])).toThrow(/certificate: subjectAltName has a name with characters/);
    },
  );

  test('an extension that is there twice is refused', () => {
    const { certificates } = testCa().issue({
      more: [subjectAltName([{ type: 'uri', value: 'spiffe://cluster.local/other' }])],
    });
    expect(() => readCertificates(certificates[0])).toThrow(/has extension 2\.5\.29\.17 twice/);
  });
});
