import { connect as connectTcp } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { TlsPeerError } from '../../../src/core/tls.js';
import { CERTIFICATE, readPem } from '../../../src/identity/pem.js';
import { Verifier } from '../../../src/identity/tls/verifier.js';
import { testCa } from '../../support/pki.js';
import { dialTls, MUTUAL, STRICT, stateOf, TlsEcho, workload } from '../../support/tls-peers.js';

const ca = testCa();
const middle = ca.intermediate();
const ders = readPem(middle.issue().chainPem, CERTIFICATE);
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

const EXPIRED = { code: 'CERT_HAS_EXPIRED', message: 'certificate has expired', reason: 'expired' } as const;
const UNKNOWN = { code: 'UNSPECIFIED', message: 'anything', reason: 'untrusted' } as const;

/** A certificate with some bytes changed, cut short, or no certificate at all. */
const damaged = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(fc.nat(ders.length - 1), fc.array(fc.tuple(fc.nat(2_000), fc.nat(255)), { maxLength: 4 }), fc.nat(2_000))
    .map(([which, changes, length]) => {
      const der = Buffer.from(ders[which] as Buffer);
      for (const [at, value] of changes) der[at % der.length] = value;
      return length % 3 === 0 ? der.subarray(0, length % der.length) : der;
    }),
);

test('whatever a peer shows, the verdict is a reason and never another error', () => {
  const verifier = new Verifier(ca.trust(), [], () => [Date.now()]);
  fc.assert(
    fc.property(
      fc.array(damaged, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(undefined, EXPIRED, UNKNOWN),
      fc.boolean(),
      (shown, openssl, resumed) => {
        const certificates = shown as unknown as readonly [Buffer, ...Buffer[]];
        try {
          const { peer } = verifier.verify('client', { certificates, openssl, resumed }, undefined);
          // Only what was not damaged where it is signed.
          expect(peer.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/web');
        } catch (error) {
          expect(error).toBeInstanceOf(TlsPeerError);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});

describe('a server', () => {
  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['half a record', Buffer.from([0x16, 3, 1, 2, 0, 1, 0])],
    ['a record with nonsense', Buffer.concat([Buffer.from([0x16, 3, 1, 0, 20]), Buffer.alloc(20, 7)])],
  ])('lives on after %s', async (_, bytes) => {
    const server = await TlsEcho.start(workload(stateOf(ca.issue({ name: 'reviews' }), ca)).tls.server(STRICT));
    cleanUp.push(() => server.close());
    const socket = connectTcp(server.port, '127.0.0.1');
    await new Promise<void>((resolve) => {
      socket.on('error', () => {});
      socket.on('close', () => resolve());
      socket.end(bytes);
      socket.resume();
    });
    const { error } = await dialTls(server.port, workload(stateOf(ca.issue(), ca)).tls.client(MUTUAL, 'reviews'));
    expect(error).toBeUndefined();
  });
});
