import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Evidence } from '../../../src/controlplane/ca/attestation/attestor.js';
import { JoinTokens } from '../../../src/controlplane/ca/attestation/join-token.js';
import { mtlsAttestor } from '../../../src/controlplane/ca/attestation/mtls.js';
import { Certifier } from '../../../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import type { PeerIdentity } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { authorities, ID } from './support.js';

const { open, closeAll, clock } = authorities();
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  await closeAll();
});

const spki = (key: KeyObject): Buffer => createPublicKey(key).export({ type: 'spki', format: 'der' });
let key: KeyObject;
let csr: string;
beforeAll(async () => {
  key = await newPrivateKey();
  csr = certificateRequest(key, { spiffeId: ID });
});

async function serve() {
  const ca = await open();
  const tokens = new JoinTokens(ca, clock);
  const queue = new SigningQueue(clock, DEFAULT_QUEUE);
  closing.push(() => queue.close());
  const attestors = [
    tokens.attestor(),
    mtlsAttestor(
      () => ca.trustDomain,
      (serial) => ca.isRevoked(serial),
    ),
  ];
  const certifier = new Certifier({ authority: ca, attestors, queue, clock, logger: silentLogger });
  const { serial } = await ca.issue({ spiffeId: ID, publicKey: spki(key), by: 'test' });
  const peer = { spiffeId: ID, trustDomain: 'cluster.local', serialNumber: serial.toUpperCase() } as PeerIdentity;
  const ask = (evidence: Partial<Evidence>, address = '10.0.0.1', wanted = csr) =>
    certifier.certify({ csr: wanted, validitySeconds: 0 }, { token: undefined, peer: undefined, ...evidence }, address);
  const refusals = (): { readonly reason: string; readonly omitted?: number }[] =>
    readFileSync(join(ca.directory, 'audit.jsonl'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"event":"refuse"'))
      .map((line) => JSON.parse(line));
  return { ca, tokens, peer, serial, ask, refusals };
}

describe('a request that waits to be signed', () => {
  test('is refused when the certificate that it was shown with is revoked meanwhile: no later one is left that is not revoked', async () => {
    const { ca, peer, ask } = await serve();
    const asked = Array.from({ length: 100 }, () => ask({ peer }));
    const ended = Promise.allSettled(asked);
    await asked[0];
    await ca.revoke(ID);
    const issued = (await ended).flatMap((one) => (one.status === 'fulfilled' ? [one.value.chain[0] as string] : []));
    expect(issued.length).toBeLessThan(100);
    expect(issued.filter((pem) => !ca.isRevoked(new X509Certificate(pem).serialNumber))).toEqual([]);
  });

  test('is refused when another process that shares the folder has revoked the certificate', async () => {
    const { ca, peer, serial, ask } = await serve();
    const other = await open({ directory: ca.directory });
    const revoking = other.revoke(serial);
    const asked = ask({ peer });
    await revoking;
    await expect(asked).rejects.toMatchObject({ reason: 'unauthenticated' });
  });

  test.each([
    ['is taken back', ({ tokens }: Awaited<ReturnType<typeof serve>>, id: string) => tokens.remove(id)],
    ['ends', () => clock.advance(60_001)],
  ])('is refused when its join token %s meanwhile', async (_, meanwhile) => {
    const server = await serve();
    const { token, id } = await server.tokens.create(ID, 60_000);
    const attested = await server.tokens.attestor().attest({ token, peer: undefined });
    await meanwhile(server, id);
    const use = server.ca.noted((turn) => attested?.meanwhile?.(turn, ID, spki(key)) ?? Promise.resolve());
    await expect(use).rejects.toMatchObject({ reason: 'unauthenticated' });
  });
});

describe('refusals', () => {
  test('of guesses at an address do not stop the renewals of who has a certificate there', async () => {
    const { ask, peer } = await serve();
    for (let i = 0; i < 10; i++) await ask({}).catch(() => {});
    await expect(ask({})).rejects.toMatchObject({ reason: 'too_many' });
    await expect(ask({ token: 'x', peer })).rejects.toMatchObject({ reason: 'too_many' });
    await expect(ask({ peer })).resolves.toMatchObject({ chain: expect.any(Array) });
  });

  test('of a stale join token are neither counted nor held against good ones of the same address', async () => {
    const { ask, tokens } = await serve();
    const stale = await tokens.create(ID);
    await tokens.remove(stale.id);
    for (let i = 0; i < 30; i++)
      await expect(ask({ token: stale.token })).rejects.toMatchObject({ reason: 'unauthenticated' });
    // Nor is who shows something else held back by them.
    await expect(ask({ token: 'x' })).rejects.toMatchObject({ reason: 'unauthenticated' });
    for (let i = 0; i < 9; i++) await ask({ token: 'x' }).catch(() => {});
    await expect(ask({ token: 'x' })).rejects.toMatchObject({ reason: 'too_many' });
    const good = await Promise.all(Array.from({ length: 3 }, () => tokens.create(ID)));
    for (const { token } of good) await expect(ask({ token })).resolves.toMatchObject({ chain: expect.any(Array) });
  });

  test('of a stale join token fill no audit log', async () => {
    const { ask, tokens, refusals } = await serve();
    const stale = await tokens.create(ID);
    await tokens.remove(stale.id);
    for (let i = 0; i < 100; i++) await ask({ token: stale.token }).catch(() => {});
    expect(refusals()).toHaveLength(20);
  });

  test('of a renewal are not held against those who join from there', async () => {
    const { ask, peer, tokens } = await serve();
    const admin = certificateRequest(key, { spiffeId: 'spiffe://cluster.local/ns/default/sa/admin' });
    for (let i = 0; i < 10; i++)
      await expect(ask({ peer }, '10.0.0.1', admin)).rejects.toMatchObject({ reason: 'forbidden' });
    const { token } = await tokens.create(ID);
    await expect(ask({ token })).resolves.toMatchObject({ chain: expect.any(Array) });
  });

  test('a request that is too large is counted as a guess where nobody is attested', async () => {
    const { ask } = await serve();
    const large = 'x'.repeat(16_385);
    for (let i = 0; i < 10; i++)
      await expect(ask({}, '10.0.0.1', large)).rejects.toMatchObject({ reason: 'unauthenticated' });
    await expect(ask({}, '10.0.0.1', large)).rejects.toMatchObject({ reason: 'too_many' });
  });

  test('of those who show nothing fill no audit log: twenty a minute are written, and how many were not', async () => {
    const { ask, peer, refusals } = await serve();
    for (let i = 0; i < 500; i++) await ask({}, `10.0.${i >> 8}.${i & 255}`).catch(() => {});
    expect(refusals()).toHaveLength(20);
    // Those who are known are not among them.
    await ask({ peer }, '10.0.0.1', 'x').catch(() => {});
    expect(refusals()).toHaveLength(21);
    await clock.advance(60_001);
    await ask({}, '10.1.0.1').catch(() => {});
    expect(refusals()).toHaveLength(22);
    expect(refusals().at(-1)).toMatchObject({ reason: 'unauthenticated', omitted: 480 });
  });
});
