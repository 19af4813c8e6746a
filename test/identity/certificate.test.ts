import { createPrivateKey, X509Certificate } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readCertificate, readCertificates } from '../../src/identity/certificate.js';
import { DerError } from '../../src/identity/der/read.js';
import * as der from '../../src/identity/der/write.js';
import { distinguishedName } from '../../src/identity/distinguished-name.js';
import { CERTIFICATE, MAX_PEM_BYTES, PemError, readPem, writePem } from '../../src/identity/pem.js';
import { readIdentity, SvidError, signerOf, workloadOf } from '../../src/identity/svid.js';
import { badCertificate, type CertificateOptions, testCa } from '../support/pki.js';

const ca = testCa();
const good = ca.issue();
const goodDer = readPem(good.chainPem, CERTIFICATE)[0] as Buffer;

describe('certificates', () => {
  test.each(['p256', 'p384', 'rsa', 'ed25519'] as const)('say the same by our reader and by OpenSSL: %s', (alg) => {
    const [pem] = testCa({ alg }).intermediate({ alg, pathLength: 0 }).issue({ alg }).certificates;
    const ours = readCertificates(pem)[0];
    const theirs = new X509Certificate(pem);
    expect(ours.serialNumber).toBe(theirs.serialNumber);
    expect(ours.notBefore).toBe(Date.parse(theirs.validFrom));
    expect(ours.notAfter).toBe(Date.parse(theirs.validTo));
    expect(ours.isCa).toBe(theirs.ca);
    expect(ours.extendedKeyUsage).toEqual(theirs.keyUsage);
    expect(ours.publicKey).toEqual(theirs.publicKey.export({ type: 'spki', format: 'der' }));
    expect(`${distinguishedName(ours.subject, 'subject')}`).toBe(theirs.subject);
  });

  test('of a CA tell what it may sign', () => {
    const made = ca.intermediate({
      pathLength: 3,
      nameConstraints: {
        permitted: [{ type: 'uri', value: 'a.example' }],
        excluded: [{ type: 'ip', value: '10.0.0.0/8' }],
      },
    });
    const [own] = readCertificates(made.certificate);
    expect(own).toMatchObject({ isCa: true, pathLength: 3, unknownCritical: [] });
    expect([...(own.keyUsage ?? [])]).toEqual([5, 6]);
    expect(own.nameConstraints).toEqual({
      permitted: [{ type: 'URI', value: 'a.example' }],
      excluded: [{ type: 'IP_ADDRESS', value: '10.0.0.0/8' }],
      others: false,
    });
  });

  test('a critical extension that nobody here knows is named', () => {
    const [own] = readCertificates(
      ca.issue({ more: [{ oid: '1.2.3.4', critical: true, value: der.nothing() }] }).certificates[0],
    );
    expect(own.unknownCritical).toEqual(['1.2.3.4']);
  });

  test('dates beyond 2049 are read', () => {
    const [own] = readCertificates(testCa({ notAfter: Date.UTC(2999, 0, 1) }).certificate);
    expect(own.notAfter).toBe(Date.UTC(2999, 0, 1));
  });

  test('names are written as RFC 2253 has them, on one line', () => {
    const rdn = (oid: string, value: string): Buffer => der.setOf(der.sequence(der.oid(oid), der.utf8String(value)));
    const name = der.sequence(rdn('2.5.4.10', 'A, "B" + C'), rdn('2.5.4.3', ' #x\n\u0000é '), rdn('1.2.3', 'x'));
    expect(distinguishedName(name, 'name')).toBe('1.2.3=#0c0178,CN=\\ #x\\0a\\00é\\ ,O=A\\, \\"B\\" \\+ C');
  });

  test('a byte that is changed, or bytes that are missing or too many, make a DerError or a certificate; never anything else', () => {
    fc.assert(
      fc.property(fc.nat(goodDer.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(3), (at, byte, how) => {
        const bytes = Buffer.from(goodDer);
        bytes[at] = byte;
        const made = [
          bytes,
          goodDer.subarray(0, at),
          Buffer.concat([goodDer, bytes.subarray(at)]),
          Buffer.concat([bytes.subarray(0, at), goodDer]),
        ][how] as Buffer;
        try {
          readCertificate(made);
        } catch (error) {
          expect(error).toBeInstanceOf(DerError);
        }
      }),
      { seed: 1, numRuns: 5000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => readCertificate(Buffer.from(bytes))).toThrow(DerError);
      }),
      { seed: 2, numRuns: 1000 },
    );
  });

  test('one of more than 64 KiB is refused', () => {
    const huge = ca.issue({ dns: Array.from({ length: 1000 }, (_, i) => `${'a'.repeat(60)}.${i}.example`) });
    expect(() => readCertificates(huge.chainPem)).toThrow(/65536 at most/);
  });
});

describe('PEM', () => {
  test('blocks of the label are read, text and other blocks around them are not', () => {
    const text = `subject=web\n${good.keyPem}${good.chainPem}\r\n# root\n${ca.root.replaceAll('\n', '\r\n')}`;
    expect(readPem(text, CERTIFICATE)).toHaveLength(2);
    expect(readPem('', CERTIFICATE)).toEqual([]);
    expect(() => readCertificates(good.keyPem)).toThrow('PEM: no certificate in it');
  });

  test.each([
    ['-----BEGIN CERTIFICATE-----\nAAAA', /has no end/],
    ['-----BEGIN CERTIFICATE-----\nAA*A\n-----END CERTIFICATE-----', /number 1 is not base64/],
    ['-----BEGIN CERTIFICATE-----\nAAAAA\n-----END CERTIFICATE-----', /number 1 is not base64/],
    ['-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----', /number 1 is not base64/],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'.repeat(4097), /more than 4096 blocks/],
    [' '.repeat(MAX_PEM_BYTES + 1), /4194304 at most/],
  ])('what is damaged is refused: %#', (text, message) => {
    expect(() => readPem(text, CERTIFICATE)).toThrow(message);
    expect(() => readPem(text, CERTIFICATE)).toThrow(PemError);
  });

  test('what is written is read again, whatever it is', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        expect(readPem(writePem('X', bytes), 'X')).toEqual([Buffer.from(bytes)]);
      }),
      { seed: 1 },
    );
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('-----BEGIN X-----', '-----END X-----', 'AAAA', '=', '\n', '-')),
        (parts) => {
          try {
            readPem(parts.join(''), 'X');
          } catch (error) {
            expect(error).toBeInstanceOf(PemError);
          }
        },
      ),
      { seed: 2, numRuns: 1000 },
    );
  });
});

describe('X509-SVIDs', () => {
  const svid = (options: CertificateOptions) => readCertificates(ca.issue(options).certificates[0])[0];

  test('of a workload say whose they are', () => {
    expect(workloadOf(svid({ name: 'web' })).id).toBe('spiffe://cluster.local/ns/default/sa/web');
  });

  test.each<[string, CertificateOptions, RegExp]>([
    ['a CA', { isCa: true }, /certificate of a CA/],
    ['it may sign certificates', { usages: [0, 5] }, /has keyCertSign/],
    ['it may sign revocation lists', { usages: [0, 6] }, /has cRLSign/],
    ['it may not sign anything', { usages: [2] }, /lacks digitalSignature/],
    ['no URI', { spiffeId: undefined }, /has no URI/],
    ['two URIs', { uris: ['https://example.com/'] }, /has 2 URIs/],
    ['two SPIFFE IDs', { uris: ['spiffe://cluster.local/b'] }, /has 2 URIs/],
    ['another scheme', { spiffeId: 'https://cluster.local/a' }, /its SPIFFE ID must begin with spiffe/],
    ['no path', { spiffeId: 'spiffe://cluster.local' }, /must name a workload/],
    ['a capital trust domain', { spiffeId: 'spiffe://Cluster.local/a' }, /its SPIFFE ID must have a trust domain of/],
  ])('a certificate is none: %s', (_, options, message) => {
    expect(() => workloadOf(svid(options))).toThrow(message);
    expect(() => workloadOf(svid(options))).toThrow(SvidError);
  });

  test('without keyUsage a key may be used for anything', () => {
    expect(workloadOf(svid({ usages: undefined })).path).toBe('/ns/default/sa/web');
  });

  test('signing certificates have the ID of their trust domain, or none', () => {
    const of = (pem: string) => signerOf(readCertificates(pem)[0]);
    expect(of(ca.root)?.id).toBe('spiffe://cluster.local');
    expect(of(testCa({ uriSan: false }).root)).toBeUndefined();
    expect(() => of(good.certificates[0])).toThrow(/not the certificate of a CA/);
    expect(() => of(ca.issue({ isCa: true, usages: [5] }).certificates[0])).toThrow(/has a path/);
  });

  test('an identity is a certificate with its own key', () => {
    const under = ca.intermediate().issue({ name: 'api' });
    const identity = readIdentity({ certificates: under.chainPem, privateKey: under.keyPem, hint: 'internal' });
    expect(identity).toMatchObject({
      spiffeId: 'spiffe://cluster.local/ns/default/sa/api',
      certificates: under.certificates,
      hint: 'internal',
    });
    expect([identity.notBefore, identity.notAfter]).toEqual([under.notBefore, under.notAfter]);
    expect(identity.privateKey.equals(createPrivateKey(under.keyPem))).toBe(true);
  });

  test('one outside of SPIFFE has no SPIFFE ID; one that has one must be a whole SVID', () => {
    const plain = ca.issue({ spiffeId: undefined });
    expect(readIdentity({ certificates: plain.chainPem, privateKey: plain.keyPem }).spiffeId).toBeUndefined();
    const two = badCertificate('two_uri_sans', ca);
    expect(() => readIdentity({ certificates: two.chainPem, privateKey: two.keyPem })).toThrow(/has 2 URIs/);
  });

  test("another's key, half a key and no key are refused, and nothing of them is shown", () => {
    const other = ca.issue();
    const secret = other.keyPem.split('\n')[1] as string;
    for (const privateKey of [other.keyPem, other.keyPem.slice(0, 150), `${secret}`, '']) {
      let message = '';
      try {
        readIdentity({ certificates: good.chainPem, privateKey });
      } catch (error) {
        message = inspect(error, { depth: 9 });
      }
      expect(message).toMatch(/the private key (is not that of the certificate|cannot be read)/);
      expect(message).not.toContain(secret.slice(0, 24));
    }
  });
});
