import { describe, expect, test } from 'vitest';
import type { Trust } from '../../../src/core/identity.js';
import { TlsPeerError } from '../../../src/core/tls.js';
import { CERTIFICATE, readPem } from '../../../src/identity/pem.js';
import { Verifier } from '../../../src/identity/tls/verifier.js';
import { type Issued, type NameConstraints, testCa } from '../../support/pki.js';

const times = (): number[] => [Date.now()];
const ders = (issued: Issued): [Buffer, ...Buffer[]] =>
  readPem(issued.chainPem, CERTIFICATE) as unknown as [Buffer, ...Buffer[]];
const EXPIRED = { code: 'CERT_HAS_EXPIRED', message: 'certificate has expired', reason: 'expired' } as const;

function verdict(
  trust: Trust,
  issued: Issued,
  how: { alone?: boolean; resumed?: boolean; maxDepth?: number } = {},
): string {
  return judge(new Verifier(trust, [], times), issued, how);
}

function judge(
  verifier: Verifier,
  issued: Issued,
  { alone = false, resumed = false, maxDepth = undefined as number | undefined } = {},
): string {
  const all = ders(issued);
  const certificates: typeof all = resumed ? [all[0]] : all;
  try {
    return (
      verifier.verify('server', { certificates, openssl: alone ? EXPIRED : undefined, resumed }, maxDepth).peer
        .spiffeId ?? 'no SPIFFE ID'
    );
  } catch (error) {
    expect(error).toBeInstanceOf(TlsPeerError);
    return (error as TlsPeerError).reason;
  }
}

const WEB = 'spiffe://cluster.local/ns/default/sa/web';

describe('trust domains', () => {
  const [here, there] = [testCa(), testCa({ trustDomain: 'there.example' })];
  const trust: Trust = {
    kind: 'spiffe',
    bundles: new Map([
      ['cluster.local', [here.root]],
      ['there.example', [there.root]],
    ]),
  };

  test('each answers for its own names (gRFC A87)', () => {
    expect(verdict(trust, here.issue())).toBe(WEB);
    expect(verdict(trust, there.issue())).toBe('spiffe://there.example/ns/default/sa/web');
  });

  test('and for nobody else’s', () => {
    expect(verdict(trust, there.issue({ spiffeId: WEB }))).toBe('wrong_trust_domain');
    expect(verdict(trust, here.issue({ spiffeId: 'spiffe://there.example/ns/a/sa/b' }))).toBe('wrong_trust_domain');
    expect(verdict(trust, here.issue({ spiffeId: 'spiffe://nowhere.example/ns/a/sa/b' }))).toBe('wrong_trust_domain');
  });

  test('one without certificates is trusted with nothing', () => {
    expect(verdict({ kind: 'spiffe', bundles: new Map([['cluster.local', []]]) }, here.issue())).toBe('untrusted');
    expect(verdict({ kind: 'spiffe', bundles: new Map() }, here.issue())).toBe('wrong_trust_domain');
  });

  test('an intermediate CA may be what is trusted', () => {
    const middle = here.intermediate();
    expect(
      verdict({ kind: 'spiffe', bundles: new Map([['cluster.local', [middle.certificate]]]) }, middle.issue()),
    ).toBe(WEB);
  });
});

describe('a chain', () => {
  test('has as many CAs as are allowed, and no more', () => {
    const root = testCa({ pathLength: 1 });
    const one = root.intermediate();
    const two = one.intermediate({ name: 'Second intermediate' });
    expect(verdict(root.trust(), one.issue())).toBe(WEB);
    expect(verdict(root.trust(), two.issue())).toBe('untrusted');
    expect(verdict(root.trust(), one.issue(), { maxDepth: 1 })).toBe(WEB);
    expect(verdict(root.trust(), one.issue(), { maxDepth: 0 })).toBe('untrusted');
  });

  test('in any order, and with strangers in it, is found', () => {
    const root = testCa();
    const one = root.intermediate();
    const issued = one.intermediate({ name: 'Second intermediate' }).issue();
    const [leaf, ...rest] = issued.certificates;
    const stranger = testCa({ name: 'Stranger' }).certificate;
    const mixed = { ...issued, chainPem: [leaf, stranger, ...rest.reverse()].join('') };
    expect(verdict(root.trust(), mixed)).toBe(WEB);
  });

  test('that goes round in circles ends', () => {
    const [a, b] = [testCa({ name: 'A' }), testCa({ name: 'B' })];
    const issued = a.issue();
    const many = Array.from({ length: 30 }, () => a.intermediate({ name: 'A' }).certificate);
    expect(verdict(b.trust(), { ...issued, chainPem: [issued.certificates[0], ...many].join('') })).toBe('untrusted');
  });

  test('of a session that is taken up again is found by the CAs that others have shown', () => {
    const root = testCa();
    const middle = root.intermediate();
    const verifier = new Verifier(root.trust(), [], times);
    expect(judge(verifier, middle.issue({ name: 'other' }), { resumed: true })).toBe('untrusted');
    expect(judge(verifier, middle.issue({ name: 'other' }))).toBe('spiffe://cluster.local/ns/default/sa/other');
    expect(judge(verifier, middle.issue(), { resumed: true })).toBe(WEB);
  });
});

describe('without OpenSSL’s word', () => {
  const root = testCa();

  test('a good certificate is good', () => expect(verdict(root.trust(), root.issue(), { alone: true })).toBe(WEB));

  test('critical extensions that are not known, and short keys, are refused', () => {
    const more = [{ oid: '1.3.6.1.4.1.99999.1', critical: true, value: Buffer.from([5, 0]) }];
    expect(verdict(root.trust(), root.issue({ more } as never), { alone: true })).toBe('untrusted');
  });

  test.each<[string, NameConstraints, string]>([
    ['the trust domain permitted', { permitted: [{ type: 'uri', value: 'cluster.local' }] }, WEB],
    ['another one permitted', { permitted: [{ type: 'uri', value: 'other.local' }] }, 'name_constraint'],
    ['its subdomains only', { permitted: [{ type: 'uri', value: '.cluster.local' }] }, 'name_constraint'],
    ['the trust domain excluded', { excluded: [{ type: 'uri', value: 'cluster.local' }] }, 'name_constraint'],
    ['the DNS name permitted', { permitted: [{ type: 'dns', value: 'example' }] }, WEB],
    ['another DNS name permitted', { permitted: [{ type: 'dns', value: 'other.example' }] }, 'name_constraint'],
    ['DNS names above it excluded', { excluded: [{ type: 'dns', value: 'example' }] }, 'name_constraint'],
  ])('name constraints: %s', (_, nameConstraints, expected) => {
    const issued = root.intermediate({ nameConstraints }).issue({ dns: ['web.example'] });
    expect(verdict(root.trust(), issued, { alone: true })).toBe(expected);
    expect(verdict(root.trust(), issued)).toBe(expected);
  });
});

test('a peer that was believed is remembered: its chain is verified once', () => {
  const root = testCa();
  const verifier = new Verifier(root.trust(), [], times);
  const issued = root.issue();
  expect(judge(verifier, issued)).toBe(WEB);
  const [der] = ders(issued);
  expect(verifier.verify('server', { certificates: [der], openssl: undefined, resumed: true }, undefined)).toBe(
    verifier.verify('server', { certificates: [der], openssl: undefined, resumed: false }, undefined),
  );
});
