import { createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { credentials, makeClientConstructor, Metadata, type ServiceError } from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { CaServer, type CaServerOptions } from '../../../src/controlplane/ca/server.js';
import { certificateDefinition } from '../../../src/controlplane/ca/service/service.js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemRandom } from '../../../src/core/random.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { caIdentity } from '../../../src/identity/sources/ca.js';
import { authorities, ID } from './support.js';

const { folder, closeAll } = authorities();
const closing: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await closeAll();
});

const env = { clock: systemClock, random: systemRandom, logger: silentLogger };

async function serve(options: CaServerOptions = {}) {
  const listen = { host: '127.0.0.1', port: 0 };
  const ca = await CaServer.open({ directory: folder(), ...options }, listen, env);
  closing.push(() => ca.close());
  const port = await ca.listen(listen);
  return { ca, address: `127.0.0.1:${port}` };
}

const Client = makeClientConstructor(certificateDefinition, 'ca');

interface Shown {
  readonly token?: string;
  readonly csr?: string;
  readonly identity?: { readonly key: string; readonly chain: string };
}

async function ask({ ca, address }: Awaited<ReturnType<typeof serve>>, { token, csr, identity }: Shown) {
  const roots = Buffer.from(ca.authority.news.roots.join(''));
  const channel =
    identity === undefined
      ? credentials.createSsl(roots)
      : credentials.createSsl(roots, Buffer.from(identity.key), Buffer.from(identity.chain));
  const client = new Client(address, channel);
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  try {
    return await new Promise<readonly string[]>((resolve, reject) => {
      const call = client.createCertificate as unknown as (
        request: object,
        metadata: Metadata,
        done: (error: ServiceError | null, response: { readonly chain: readonly string[] }) => void,
      ) => void;
      call.call(client, { csr: csr ?? '', validitySeconds: 0 }, metadata, (error, response) =>
        error === null ? resolve(response.chain) : reject(error),
      );
    });
  } finally {
    client.close();
  }
}

const csrOf = async (spiffeId: string | undefined = ID) => {
  const privateKey = await newPrivateKey('ecdsa-p256');
  const csr = certificateRequest(privateKey, spiffeId === undefined ? {} : { spiffeId });
  return { csr, key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string };
};

describe('joining', () => {
  test('a token gives one certificate, for the name that it is bound to', async () => {
    const server = await serve();
    const { token } = await server.ca.tokens.create(ID);
    const { csr } = await csrOf();
    const chain = await ask(server, { token, csr });
    expect(new X509Certificate(chain[0] as string).subjectAltName).toBe(`URI:${ID}`);
    expect(new X509Certificate(chain.at(-1) as string).fingerprint256.replaceAll(':', '').toLowerCase()).toBe(
      token.split('.')[2],
    );
    const { csr: another } = await csrOf();
    await expect(ask(server, { token, csr: another })).rejects.toMatchObject({ code: 16 });
  });

  test('of two who come with one token at once one gets a certificate', async () => {
    const server = await serve();
    const { token } = await server.ca.tokens.create(ID);
    const requests = await Promise.all([csrOf(), csrOf()]);
    const ended = await Promise.allSettled(requests.map(({ csr }) => ask(server, { token, csr })));
    expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  test('a token is not good for another name, and is not used up by trying', async () => {
    const server = await serve();
    const { token } = await server.ca.tokens.create(ID);
    const other = await csrOf('spiffe://cluster.local/ns/default/sa/admin');
    await expect(ask(server, { token, csr: other.csr })).rejects.toMatchObject({ code: 7 });
    const { csr } = await csrOf();
    await expect(ask(server, { token, csr })).resolves.toHaveLength(3);
  });

  test('a token of a pattern is good for what is below it, which the CSR has to name', async () => {
    const server = await serve();
    const { token } = await server.ca.tokens.create('spiffe://cluster.local/ns/shop/*');
    const { csr } = await csrOf('spiffe://cluster.local/ns/shop/sa/cart');
    const outside = await csrOf('spiffe://cluster.local/ns/shopping/sa/cart');
    await expect(ask(server, { token, csr: outside.csr })).rejects.toMatchObject({ code: 7 });
    const [leaf] = await ask(server, { token, csr });
    expect(new X509Certificate(leaf as string).subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/cart');
  });

  test('whoever shows nothing is refused', async () => {
    const server = await serve();
    const { csr } = await csrOf();
    await expect(ask(server, { csr })).rejects.toMatchObject({
      code: 16,
      details: expect.stringMatching(/join token/),
    });
  });

  test('wrong join tokens of an address do not lock out a good one: nobody guesses 256 bits', async () => {
    const server = await serve();
    const { csr } = await csrOf();
    const { token } = await server.ca.tokens.create(ID);
    const wrong = `${token.slice(0, 13)}${'A'.repeat(43)}${token.slice(56)}`;
    for (let i = 0; i < 12; i++) await expect(ask(server, { token: wrong, csr })).rejects.toMatchObject({ code: 16 });
    await expect(ask(server, { token, csr })).resolves.toHaveLength(3);
  });

  test('who showed ten times what is no evidence has to wait, and is told for how long', async () => {
    const server = await serve();
    const { csr } = await csrOf();
    for (let i = 0; i < 10; i++) await expect(ask(server, { token: 'x', csr })).rejects.toMatchObject({ code: 16 });
    const error = await ask(server, { token: 'x', csr }).catch((reason: ServiceError) => reason);
    expect(error).toMatchObject({ code: 8 });
    expect(Number((error as ServiceError).metadata.get('grpc-retry-pushback-ms')[0])).toBeGreaterThan(50_000);
  });

  test.each([
    ['that is no CSR', async () => 'hello', /no CSR/],
    ['of a weak key', async () => weak(), /RSA key has 1024 bits/],
    ['that is signed by another key', async () => forged(), /proof of possession|cannot be read/],
    ['of 20,000 bytes', async () => 'x'.repeat(20_000), /16384 bytes/],
  ])('a request %s is refused, and the token is still good', async (_, make, problem) => {
    const server = await serve();
    const { token } = await server.ca.tokens.create(ID);
    await expect(ask(server, { token, csr: await make() })).rejects.toMatchObject({
      code: 3,
      details: expect.stringMatching(problem),
    });
    await expect(ask(server, { token, csr: (await csrOf()).csr })).resolves.toHaveLength(3);
  });
});

/** A CSR of RSA with 1024 bits, made by our own writer. */
function weak(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1_024 });
  return certificateRequest(privateKey, { spiffeId: ID });
}

/** Somebody else's key in a request that one signs oneself: the last bytes are the signature. */
async function forged(): Promise<string> {
  const { csr } = await csrOf();
  const der = Buffer.from(csr.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signature = sign('sha256', Buffer.from('other'), privateKey);
  signature.copy(der, der.length - Math.min(20, signature.length), 10, 30);
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}

describe('renewing', () => {
  async function joined() {
    const server = await serve();
    const { token } = await server.ca.tokens.create(ID);
    const { csr, key } = await csrOf();
    const chain = await ask(server, { token, csr });
    return {
      server,
      identity: { key, chain: chain.slice(0, -1).join('') },
      leaf: new X509Certificate(chain[0] as string),
    };
  }

  test('a certificate gives the next one, for the same name', async () => {
    const { server, identity } = await joined();
    const [leaf] = await ask(server, { identity, csr: (await csrOf()).csr });
    expect(new X509Certificate(leaf as string).subjectAltName).toBe(`URI:${ID}`);
  });

  test('and for no other', async () => {
    const { server, identity } = await joined();
    const { csr } = await csrOf('spiffe://cluster.local/ns/default/sa/admin');
    await expect(ask(server, { identity, csr })).rejects.toMatchObject({ code: 7 });
  });

  test('one that was revoked gives nothing', async () => {
    const { server, identity, leaf } = await joined();
    await server.ca.authority.revoke(leaf.serialNumber);
    await expect(ask(server, { identity, csr: (await csrOf()).csr })).rejects.toMatchObject({ code: 14 });
  });

  test('the certificate of another authority is refused in the handshake', async () => {
    const { server } = await joined();
    const other = await joined();
    await expect(ask(server, { identity: other.identity, csr: (await csrOf()).csr })).rejects.toMatchObject({
      code: 14,
    });
  });
});

test('a workload joins with a token that tells it the root, and gets its identity', async () => {
  const { ca, address } = await serve();
  const { token } = await ca.tokens.create(ID);
  const source = caIdentity({
    address,
    spiffeId: ID,
    token: async () => token,
    clock: systemClock,
    random: systemRandom,
  });
  closing.push(() => source.close());
  const state = await new Promise<IdentityState>((resolve, reject) => {
    source.watch({ changed: resolve, failed: reject });
  });
  expect(state.identity?.spiffeId).toBe(ID);
  const leaf = new X509Certificate(state.identity?.certificates[0] as string);
  expect(leaf.checkPrivateKey(state.identity?.privateKey as never)).toBe(true);
});

describe('Kubernetes', () => {
  async function cluster() {
    const jose = await import('jose');
    const { publicKey, privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
    const jwks = join(folder(), 'jwks.json');
    writeFileSync(jwks, JSON.stringify({ keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'a', alg: 'RS256' }] }));
    const issuer = 'https://kubernetes.default.svc';
    const token = (subject: string, audience = 'inmesh', at = '1h') =>
      new jose.SignJWT({ sub: subject })
        .setProtectedHeader({ alg: 'RS256', kid: 'a' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(at)
        .sign(privateKey);
    return { server: await serve({ kubernetes: { issuer, jwks } }), token };
  }

  test('namespace and account make the SPIFFE ID', async () => {
    const { server, token } = await cluster();
    const { csr } = await csrOf('spiffe://cluster.local/ns/shop/sa/cart');
    const [leaf] = await ask(server, { token: await token('system:serviceaccount:shop:cart'), csr });
    expect(new X509Certificate(leaf as string).subjectAltName).toBe('URI:spiffe://cluster.local/ns/shop/sa/cart');
  });

  test.each([
    ['of another audience', 'system:serviceaccount:shop:cart', 'vault', '1h', 16],
    ['that has ended', 'system:serviceaccount:shop:cart', 'inmesh', '-1h', 16],
    ['of a user', 'alice', 'inmesh', '1h', 7],
    ['of another account', 'system:serviceaccount:shop:till', 'inmesh', '1h', 7],
  ])('a token %s is refused', async (_, subject, audience, at, code) => {
    const { server, token } = await cluster();
    const { csr } = await csrOf('spiffe://cluster.local/ns/shop/sa/cart');
    await expect(ask(server, { token: await token(subject, audience, at), csr })).rejects.toMatchObject({ code });
  });
});

test('its own certificate is that of the control plane', async () => {
  const { ca } = await serve({ names: ['mesh.example'] });
  await new Promise<void>((resolve) => ca.identity.watch({ changed: () => resolve(), failed: () => {} }));
  const leaf = new X509Certificate(ca.identity.current?.identity?.certificates[0] as string);
  expect(leaf.subjectAltName).toContain('URI:spiffe://cluster.local/ns/inmesh/sa/control-plane');
  expect(leaf.subjectAltName).toContain('DNS:mesh.example');
  expect(leaf.subjectAltName).toContain('IP Address:127.0.0.1');
  expect(createPublicKey(leaf.publicKey.export({ type: 'spki', format: 'pem' })).type).toBe('public');
});
