import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCertificates } from '../../src/identity/certificate.js';
import { Revocations, readCrl, readCrls } from '../../src/identity/crl.js';
import { DerError } from '../../src/identity/der/read.js';
import { CRL, readPem } from '../../src/identity/pem.js';
import { testCa } from '../support/pki.js';

const cert = (pem: string) => readCertificates(pem)[0];

describe('revocation lists', () => {
  test.each(['p256', 'p384', 'rsa', 'ed25519'] as const)('signed by their issuer, they count: %s', (alg) => {
    const ca = testCa({ alg });
    const [gone, stays] = [ca.issue(), ca.issue()];
    const revocations = new Revocations(readCrls(ca.crl([gone.serial])));
    expect(revocations.has(cert(gone.certificates[0]), cert(ca.root))).toBe(true);
    expect(revocations.has(cert(stays.certificates[0]), cert(ca.root))).toBe(false);
  });

  test('say when they were made, and when the next one comes', () => {
    const ca = testCa();
    const [list] = readCrls(ca.crl([], { thisUpdate: 1_700_000_000_000, nextUpdate: 1_700_000_060_000 }));
    expect(list).toMatchObject({ thisUpdate: 1_700_000_000_000, nextUpdate: 1_700_000_060_000 });
    expect(list?.revoked.size).toBe(0);
  });

  test('one that another has signed in the name of the issuer revokes nothing', () => {
    const [ca, forger] = [testCa(), testCa()];
    const leaf = ca.issue();
    const revocations = new Revocations(readCrls(forger.crl([leaf.serial])));
    expect(revocations.has(cert(leaf.certificates[0]), cert(ca.root))).toBe(false);
  });

  test('the same serial number of another issuer is another certificate', () => {
    const ca = testCa();
    const below = ca.intermediate();
    const serial = Buffer.from('0102', 'hex');
    const [ofRoot, ofBelow] = [ca.issue({ serial }), below.issue({ serial })];
    const revocations = new Revocations(readCrls(below.crl([serial])));
    expect(revocations.has(cert(ofRoot.certificates[0]), cert(ca.root))).toBe(false);
    expect(revocations.has(cert(ofBelow.certificates[0]), cert(below.certificate))).toBe(true);
  });

  test('of two lists of one issuer both count, and a leaf without cRLSign has none', () => {
    const ca = testCa();
    const [one, two] = [ca.issue(), ca.issue()];
    const revocations = new Revocations([...readCrls(ca.crl([one.serial])), ...readCrls(ca.crl([two.serial]))]);
    expect([one, two].map(({ certificates }) => revocations.has(cert(certificates[0]), cert(ca.root)))).toEqual([
      true,
      true,
    ]);
    const noSigner = { ...cert(ca.root), keyUsage: new Set([5]), der: Buffer.from('another') };
    expect(revocations.has(cert(one.certificates[0]), noSigner)).toBe(false);
  });

  test('ten thousand entries are read', () => {
    const serials = Array.from({ length: 10_000 }, (_, i) => Buffer.from([1, i >> 8, i & 0xff]));
    const [list] = readCrls(testCa().crl(serials));
    expect(list?.revoked.size).toBe(10_000);
    expect(list?.revoked.has('0127' + '0F')).toBe(true);
  });

  test('a byte that is changed makes a list that is not signed, or a DerError', () => {
    const ca = testCa();
    const leaf = ca.issue();
    const [good] = readPem(ca.crl([leaf.serial]), CRL) as [Buffer];
    const root = cert(ca.root);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at] as number) ^ flip;
        try {
          expect(new Revocations([readCrl(bytes)]).has(cert(leaf.certificates[0]), root)).toBe(false);
        } catch (error) {
          expect(error).toBeInstanceOf(DerError);
        }
      }),
      { seed: 1, numRuns: 1000 },
    );
  });
});
