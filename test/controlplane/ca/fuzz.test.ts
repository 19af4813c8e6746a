import fc from 'fast-check';
import { beforeAll, expect, test } from 'vitest';
import { parseJoinToken } from '../../../src/controlplane/ca/attestation/join-token.js';
import { CaError } from '../../../src/controlplane/ca/errors.js';
import { readCertificateRequest, readCertificateResponse } from '../../../src/identity/sources/ca-protocol.js';
import { checkCsr } from '../../../src/controlplane/ca/x509/csr.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { ID } from './support.js';

let good: Buffer;
beforeAll(async () => {
  const pem = certificateRequest(await newPrivateKey(), { spiffeId: ID, dns: ['web.example'] });
  good = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
});

const asPem = (der: Buffer): string =>
  `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;

test('a CSR with any bytes changed is refused with a reason, or still proves its key', async () => {
  const change = fc.tuple(fc.nat({ max: 10_000 }), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat({ max: 10_000 })),
      (changes, cut) => {
        const der = Buffer.from(good);
        for (const [at, value] of changes) der[at % der.length] = value;
        const text = asPem(cut === null ? der : der.subarray(0, cut % der.length));
        let result: unknown;
        try {
          result = checkCsr(text);
        } catch (error) {
          result = error;
        }
        // The signature is over all of it: what passes is what it was.
        if (result instanceof Error) expect(result).toBeInstanceOf(CaError);
        else expect(result).toMatchObject({ uris: [ID] });
      },
    ),
    { numRuns: 300 },
  );
});

test('any text is a CSR or is refused with a reason', async () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.uint8Array({ maxLength: 400 }).map((bytes) => asPem(Buffer.from(bytes))),
      ),
      (text) => {
        expect(() => checkCsr(text)).toThrow(CaError);
      },
    ),
    { numRuns: 200 },
  );
});

test('any text is a join token or none', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      expect(parseJoinToken(text)).toBeUndefined();
    }),
  );
  const token = `${'0'.repeat(12)}.${'A'.repeat(43)}.${'f'.repeat(64)}`;
  expect(parseJoinToken(token)).toEqual({ id: '0'.repeat(12), secret: 'A'.repeat(43), rootHash: 'f'.repeat(64) });
  expect(parseJoinToken(`${token}\n`)).toBeUndefined();
});

test('any bytes are a message or none', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      readCertificateRequest(bytes);
      readCertificateResponse(bytes);
    }),
  );
});
