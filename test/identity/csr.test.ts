import 'reflect-metadata';
import { execFileSync } from 'node:child_process';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { certificateRequest, type KeyAlgorithm, newPrivateKey } from '../../src/identity/csr.js';

const ALGORITHMS: readonly KeyAlgorithm[] = ['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-3072', 'ed25519'];
const names = { spiffeId: 'spiffe://cluster.local/ns/default/sa/web', dns: ['web', 'web.default.svc'] };

/** `openssl req`, or undefined where there is no openssl. */
function openssl(csr: string): string | undefined {
  try {
    return execFileSync('openssl', ['req', '-noout', '-text', '-verify'], {
      input: csr,
      stdio: ['pipe', 'pipe', 'pipe'],
    }).toString();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

describe('certificate requests', () => {
  test.each(ALGORITHMS)('are what @peculiar/x509 and OpenSSL read, names, key and signature: %s', async (algorithm) => {
    const key = await newPrivateKey(algorithm);
    const csr = certificateRequest(key, names);
    const read = new Pkcs10CertificateRequest(csr);
    expect(await read.verify()).toBe(true);
    expect(read.subject).toBe('');
    const [san] = read.extensions;
    expect(san).toMatchObject({ type: '2.5.29.17', critical: true });
    expect((san as unknown as { names: { toJSON(): unknown } }).names.toJSON()).toEqual([
      { type: 'url', value: names.spiffeId },
      { type: 'dns', value: 'web' },
      { type: 'dns', value: 'web.default.svc' },
    ]);
    const text = openssl(csr);
    if (text !== undefined)
      expect(text).toMatch(/URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/web, DNS:web, DNS:web\.default\.svc/);
  });

  test('have nothing of the private key in them', async () => {
    const key = await newPrivateKey();
    const secret = Buffer.from(key.export({ format: 'jwk' }).d as string, 'base64url');
    const csr = certificateRequest(key, names);
    expect(Buffer.from(csr.replace(/-----.*-----|\s/g, ''), 'base64').includes(secret)).toBe(false);
  });

  test('without names ask for none', async () => {
    const read = new Pkcs10CertificateRequest(certificateRequest(await newPrivateKey(), {}));
    expect(read.extensions).toEqual([]);
    expect(await read.verify()).toBe(true);
  });

  test('any name of printable ASCII arrives as it is; others are refused', async () => {
    const key = await newPrivateKey('ed25519');
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ minLength: 1, maxLength: 300 }), { maxLength: 5 }), async (dns) => {
        if (dns.some((name) => !/^[\x21-\x7e]+$/.test(name))) {
          expect(() => certificateRequest(key, { dns })).toThrow(TypeError);
          return;
        }
        const read = new Pkcs10CertificateRequest(certificateRequest(key, { dns }));
        const san = read.extensions[0] as unknown as { names: { items: { value: string }[] } } | undefined;
        expect((san?.names.items ?? []).map(({ value }) => value)).toEqual(dns);
      }),
      { seed: 1, numRuns: 200 },
    );
  });
});
