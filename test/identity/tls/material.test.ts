import { afterEach, expect, test } from 'vitest';
import { IdentityError } from '../../../src/core/errors.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { CERTIFICATE, readPem } from '../../../src/identity/pem.js';
import { Material } from '../../../src/identity/tls/material.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type Issued, testCa } from '../../support/pki.js';
import { stateOf } from '../../support/tls-peers.js';

const UNREADABLE = '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n';
const open: Material[] = [];
afterEach(() => {
  for (const material of open.splice(0)) material.close();
});

function materialOf(state: IdentityState) {
  const source = memoryIdentity(state);
  const log: string[] = [];
  const say = (message: string): void => void log.push(message);
  const material = new Material(
    { identity: 'default', roots: { kind: 'provider', instance: 'default' } },
    {
      providers: { get: () => source },
      clock: new FakeClock(),
      random: seededRandom(1),
      times: () => [Date.now()],
      logger: { ...silentLogger, warn: say, error: say },
    },
  );
  open.push(material);
  const verify = (issued: Issued): string | undefined => {
    const certificates = readPem(issued.chainPem, CERTIFICATE) as [Buffer, ...Buffer[]];
    const shown = { certificates, openssl: undefined, resumed: false };
    return material.current?.verifier?.verify('client', shown, undefined).peer.spiffeId;
  };
  return { source, log, material, verify };
}

test('a revocation list that cannot be read keeps no certificate from being replaced, and takes back no revocation', () => {
  const ca = testCa();
  const gone = ca.issue();
  const { source, log, material, verify } = materialOf(stateOf(ca.issue(), ca, [ca.crl([gone.serial])]));
  expect(() => verify(gone)).toThrow(/revoked/);
  const [next, alsoGone] = [ca.issue(), ca.issue()];
  source.set(stateOf(next, ca, [UNREADABLE, ca.crl([alsoGone.serial])]));
  expect(material.current?.parts.identity).toBe(next);
  expect(() => verify(gone)).toThrow(/revoked/);
  expect(() => verify(alsoGone)).toThrow(/revoked/);
  expect(verify(ca.issue())).toBeDefined();
  expect(log).toEqual([expect.stringMatching(/cannot be read: the lists from before stand/)]);
  source.set(stateOf(next, ca, []));
  expect(verify(gone)).toBeDefined();
});

test('without lists from before one that cannot be read lets nobody in', () => {
  const ca = testCa();
  const { log, material } = materialOf(stateOf(ca.issue(), ca, [UNREADABLE]));
  expect(material.current).toBeUndefined();
  expect(log[0]).toMatch(/cannot be used/);
});

test('a list that its CA has not signed is told of, once, and one of another CA of the same name is not', () => {
  const [ca, other] = [testCa(), testCa()];
  const forged = materialOf(stateOf(ca.issue(), ca, []));
  const broken = Buffer.from(readPem(ca.crl([]), 'X509 CRL')[0] as Buffer);
  broken[broken.length - 1] = (broken.at(-1) as number) ^ 1;
  const text = `-----BEGIN X509 CRL-----\n${broken.toString('base64')}\n-----END X509 CRL-----\n`;
  forged.source.set(stateOf(ca.issue(), ca, [text]));
  forged.verify(ca.issue());
  forged.verify(ca.issue());
  expect(forged.log).toEqual([expect.stringMatching(/not signed by the CA/)]);
  const rotated = materialOf(stateOf(ca.issue(), ca, [other.crl([])]));
  rotated.verify(ca.issue());
  expect(rotated.log).toEqual([]);
});

test('who waits for a first certificate is told at once that it is refused, and who comes later as well; until there is one', () => {
  const ca = testCa();
  const { source, material } = materialOf({ identity: undefined, trust: undefined });
  expect(material.current).toBeUndefined();
  const told: string[] = [];
  const wait = () =>
    material.wait({ ready: () => told.push('ready'), failed: ({ message }: Error) => void told.push(message) });
  wait();
  source.fail(new IdentityError('the CA is away'));
  expect(told).toEqual([]);
  expect(material.impossible).toBeUndefined();
  source.fail(new IdentityError('the token is spent', { reason: 'refused' }));
  expect(told).toEqual(['the token is spent']);
  expect(material.impossible?.message).toBe('the token is spent');
  source.set(stateOf(ca.issue(), ca));
  expect(material.impossible).toBeUndefined();
  expect(material.current).toBeDefined();
  expect(material.revoked).toBeUndefined();
  source.fail(new IdentityError('revoked', { reason: 'revoked' }));
  expect(material.impossible).toBeUndefined();
  expect(material.revoked?.message).toBe('revoked');
});
