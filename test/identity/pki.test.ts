import { X509Certificate } from 'node:crypto';
import { connect, createServer, type TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { badCertificate, type Issued, type TestCa, testCa } from '../support/pki.js';

/** OpenSSL's verdict of a client's certificate, as a server of Node's hears it. */
async function verdict(ca: TestCa, client: Issued, crl?: string): Promise<string | undefined> {
  const server = ca.issue({ name: 'server' });
  const tls = createServer({
    cert: server.chainPem,
    key: server.keyPem,
    ca: ca.root,
    requestCert: true,
    rejectUnauthorized: false,
    ...(crl === undefined ? {} : { crl }),
  });
  await new Promise<void>((listening) => tls.listen(0, '127.0.0.1', listening));
  const seen = new Promise<TLSSocket>((resolve) => tls.once('secureConnection', resolve));
  const { port } = tls.address() as AddressInfo;
  const socket = connect({
    port,
    host: '127.0.0.1',
    ca: ca.root,
    cert: client.chainPem,
    key: client.keyPem,
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => {});
  const peer = await seen;
  const error = peer.authorizationError as unknown as string | null;
  socket.destroy();
  peer.destroy();
  await new Promise((closed) => tls.close(closed));
  return error ?? undefined;
}

describe('the PKI of the tests, by what OpenSSL says of it', () => {
  for (const alg of ['p256', 'p384', 'rsa', 'ed25519'] as const) {
    test(`good certificates are accepted, under the root and under an intermediate: ${alg}`, async () => {
      const ca = testCa({ alg });
      expect(await verdict(ca, ca.issue({ alg }))).toBeUndefined();
      expect(await verdict(ca, ca.intermediate({ alg }).issue({ alg }))).toBeUndefined();
    });
  }

  test.each([
    ['expired', 'CERT_HAS_EXPIRED'],
    ['not_yet_valid', 'CERT_NOT_YET_VALID'],
    ['self_signed', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['untrusted', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    // Node 20 has no name for these two.
    ['name_constraint', 'UNSPECIFIED'],
    ['no_extended_usage_for_it', 'INVALID_PURPOSE'],
    ['signed_by_a_leaf', 'UNSPECIFIED'],
  ] as const)('a bad one is refused for what it is named after: %s', async (kind, error) => {
    const ca = testCa();
    const wanted = error === 'UNSPECIFIED' ? /UNSPECIFIED|PERMITTED_VIOLATION|INVALID_CA/ : new RegExp(`^${error}$`);
    expect(await verdict(ca, badCertificate(kind, ca))).toMatch(wanted);
  });

  test('a certificate on the list is revoked, another is not', async () => {
    const ca = testCa();
    const [revoked, other] = [ca.issue(), ca.issue()];
    const crl = ca.crl([revoked.serial]);
    expect(await verdict(ca, revoked, crl)).toBe('CERT_REVOKED');
    expect(await verdict(ca, other, crl)).toBeUndefined();
  });

  test('names of every kind are in it', () => {
    const [pem] = testCa().issue({
      dns: ['a.example', '*.b.example'],
      ip: ['10.0.0.1', '2001:db8::7'],
      emails: ['a@b.example'],
    }).certificates;
    expect(new X509Certificate(pem).subjectAltName).toBe(
      'URI:spiffe://cluster.local/ns/default/sa/web, DNS:a.example, DNS:*.b.example, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:7, email:a@b.example',
    );
  });
});
