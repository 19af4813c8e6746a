import { createHmac, timingSafeEqual } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import type { Attested, Attestor, Evidence } from '../../../src/controlplane/ca/attestation/attestor.js';
import { JoinTokens, REPEAT_MS } from '../../../src/controlplane/ca/attestation/join-token.js';
import { kubernetesAttestor } from '../../../src/controlplane/ca/attestation/kubernetes.js';
import { mtlsAttestor } from '../../../src/controlplane/ca/attestation/mtls.js';
import { CaError } from '../../../src/controlplane/ca/errors.js';
import { Certifier } from '../../../src/controlplane/ca/service/certify.js';
import { DEFAULT_QUEUE, SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import type { PeerIdentity } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type AttestorFixture, attestorContract, certified, nothing, tokenOf } from './attestor-contract.js';
import { authorities, ID } from './support.js';

const { open, folder, closeAll, clock } = authorities(new FakeClock(1_000, Date.now()));
afterEach(closeAll);

async function joinTokens(): Promise<AttestorFixture> {
  const authority = await open();
  const tokens = new JoinTokens(authority, clock);
  const made = async (lifetimeMs?: number): Promise<Evidence> => tokenOf((await tokens.create(ID, lifetimeMs)).token);
  const use = (attested: Attested): Promise<void> =>
    authority.noted((turn) => attested.meanwhile?.(turn, ID, Buffer.from('key of another')) ?? Promise.resolve());
  const attestor = tokens.attestor();
  return {
    authority,
    clock,
    attestor,
    good: made,
    bad: {
      wrong: async () => tokenOf(((await made()).token as string).replace(/\..{43}\./, `.${'A'.repeat(43)}.`)),
      'taken back': async () => {
        const { token, id } = await tokens.create(ID);
        await tokens.remove(id);
        return tokenOf(token);
      },
      expired: async () => {
        const evidence = await made(1_000);
        await clock.advance(1_001);
        return evidence;
      },
      spent: async () => {
        const evidence = await made();
        await use((await attestor.attest(evidence)) as Attested);
        await clock.advance(REPEAT_MS);
        return evidence;
      },
      'of another trust domain': async () => {
        const other = await open({ trustDomain: 'elsewhere.example' });
        const { token } = await new JoinTokens(other, clock).create('spiffe://elsewhere.example/ns/default/sa/web');
        return tokenOf(token);
      },
    },
    async overtaken() {
      const evidence = await made();
      return { evidence, overtake: async () => use((await attestor.attest(evidence)) as Attested) };
    },
  };
}

async function kubernetes(): Promise<AttestorFixture> {
  const jose = await import('jose');
  const authority = await open();
  const issuer = 'https://kubernetes.default.svc';
  const [own, foreign] = [await jose.generateKeyPair('ES256'), await jose.generateKeyPair('ES256')];
  const jwks = join(folder(), 'jwks.json');
  writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await jose.exportJWK(own.publicKey)), kid: 'a', alg: 'ES256' }] }));
  const at = (): number => Math.floor(clock.wallTime() / 1_000);
  const token = async (change: (token: SignJWT) => SignJWT = (it) => it, { kid = 'a', key = own.privateKey } = {}) => {
    const made = new jose.SignJWT({ sub: 'system:serviceaccount:default:web' })
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer(issuer)
      .setAudience('inmesh')
      .setIssuedAt(at())
      .setExpirationTime(at() + 600);
    return tokenOf(await change(made).sign(key));
  };
  return {
    authority,
    clock,
    attestor: kubernetesAttestor({ issuer, jwks }, () => authority.trustDomain, { clock, logger: silentLogger }),
    good: () => token(),
    bad: {
      wrong: () => token(undefined, { key: foreign.privateKey }),
      'of an unknown key': () => token(undefined, { kid: 'b', key: foreign.privateKey }),
      expired: () => token((it) => it.setExpirationTime(at() - 60)),
      'without an end': async () =>
        tokenOf(
          await new jose.SignJWT({ sub: 'system:serviceaccount:default:web', iss: issuer, aud: 'inmesh' })
            .setProtectedHeader({ alg: 'ES256', kid: 'a' })
            .sign(own.privateKey),
        ),
      'of another cluster': () => token((it) => it.setIssuer('https://kubernetes.elsewhere.example')),
      'for somebody else': () => token((it) => it.setAudience('vault')),
      'of a user': () => token((it) => it.setSubject('alice')),
      'of an account whose name would be another path': () =>
        token((it) => it.setSubject('system:serviceaccount:default:web/../admin')),
      'without a signature': async () =>
        tokenOf(`${((await token()).token as string).split('.').slice(0, 2).join('.')}.`),
    },
  };
}

async function mtls(): Promise<AttestorFixture> {
  const authority = await open();
  const good = (): Promise<Evidence> => certified(authority);
  return {
    authority,
    clock,
    attestor: mtlsAttestor(
      () => authority.trustDomain,
      (serial) => authority.isRevoked(serial),
    ),
    good,
    bad: {
      revoked: async () => {
        const evidence = await good();
        await authority.revoke(evidence.peer?.serialNumber as string);
        return evidence;
      },
      'of another trust domain': async () => {
        const { peer } = await good();
        return { ...nothing, peer: { ...(peer as PeerIdentity), trustDomain: 'elsewhere.example' } };
      },
    },
    async overtaken() {
      const evidence = await good();
      return {
        evidence,
        overtake: async () => void (await authority.revoke(evidence.peer?.serialNumber as string)),
      };
    },
  };
}

const INSTANCE = /^instance:([^:]+):(\d+):([0-9a-f]{64})$/;

/** One of an application: documents that a cloud has signed, with a secret that both know. */
async function plugIn(): Promise<AttestorFixture> {
  const authority = await open();
  const seal = (text: string): string => createHmac('sha256', 'between us').update(text).digest('hex');
  const document = (name: string, until: number, sign = seal): Evidence =>
    tokenOf(`instance:${name}:${until}:${sign(`${name}:${until}`)}`);
  const soon = (): number => clock.wallTime() + 60_000;
  const attestor: Attestor = {
    name: 'instance document',
    async attest({ token }) {
      const [, name, until, sealed] = INSTANCE.exec(token ?? '') ?? [];
      if (name === undefined || until === undefined || sealed === undefined) return undefined;
      if (!timingSafeEqual(Buffer.from(seal(`${name}:${until}`)), Buffer.from(sealed)))
        throw new CaError('unauthenticated', `not sealed: ${token}`);
      if (Number(until) < clock.wallTime()) throw new CaError('unauthenticated', `over since ${until}: ${token}`);
      const id = `spiffe://${authority.trustDomain}/ns/default/sa/${name}`;
      return { by: `instance ${name}`, spiffeId: id, allows: (wanted) => wanted === id };
    },
  };
  return {
    authority,
    clock,
    attestor,
    good: async () => document('web', soon()),
    bad: {
      wrong: async () => document('web', soon(), () => 'f'.repeat(64)),
      expired: async () => document('web', clock.wallTime() - 1),
    },
  };
}

describe('a join token', () => {
  const bad = ['wrong', 'taken back', 'expired', 'spent', 'of another trust domain'];
  attestorContract(joinTokens, { bad, overtaken: true });

  test('is refused in the same words, whatever is wrong with it', async () => {
    const fixture = await joinTokens();
    const said = new Set<string>();
    for (const evidence of Object.values(fixture.bad))
      said.add(String(await fixture.attestor.attest(await evidence()).catch((error: unknown) => error)));
    expect(said.size).toBe(1);
  });
});

describe('a Kubernetes service account', () => {
  attestorContract(kubernetes, {
    bad: [
      'wrong',
      'of an unknown key',
      'expired',
      'without an end',
      'of another cluster',
      'for somebody else',
      'of a user',
      'of an account whose name would be another path',
      'without a signature',
    ],
    overtaken: false,
  });
});

describe('a certificate of this authority', () => {
  attestorContract(mtls, { bad: ['revoked', 'of another trust domain'], overtaken: true });
});

describe('a plug-in that says in its errors what it was shown', () => {
  attestorContract(plugIn, { bad: ['wrong', 'expired'], overtaken: false });

  test('has that taken out, also where its error is one that nobody expects', async () => {
    const { authority } = await plugIn();
    const lines: string[] = [];
    const tell = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
    const attestor: Attestor = {
      name: 'talkative',
      attest: async ({ token }) => {
        throw new Error(`cannot parse ${token}`);
      },
    };
    const queue = new SigningQueue(clock, DEFAULT_QUEUE);
    const logger = { debug: tell, info: tell, warn: tell, error: tell };
    const certifier = new Certifier({ authority, attestors: [attestor], queue, clock, logger });
    const asked = certifier.certify({ csr: '', validitySeconds: 0 }, tokenOf('sesame'), '10.0.0.1');
    await expect(asked).rejects.toMatchObject({ reason: 'unavailable' });
    expect(lines.join('\n')).toContain('cannot parse <token>');
    expect(lines.join('\n')).not.toContain('sesame');
  });
});
