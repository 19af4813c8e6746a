import { createServer as createPlain } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { kubernetesAttestor, type KubernetesOptions } from '../../../src/controlplane/ca/attestation/kubernetes.js';
import { parseCaOptions } from '../../../src/controlplane/ca/server.js';
import { systemClock } from '../../../src/core/clock.js';
import { FakeClock } from '../../support/fake-clock.js';
import { authorities, request } from './support.js';

const { open, folder, closeAll } = authorities(new FakeClock(1_000, Date.now()));
const closing: (() => void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await closeAll();
});

const issuer = 'https://kubernetes.default.svc';

/** An API server: its certificate is of the cluster's own authority, and its keys are for who shows a token. */
async function cluster(answer?: RequestListener) {
  const jose = await import('jose');
  const { publicKey, privateKey } = await jose.generateKeyPair('RS256', { extractable: true });
  const keys = JSON.stringify({ keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'a', alg: 'RS256' }] });
  const ca = await open();
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicDer = own.publicKey.export({ type: 'spki', format: 'der' });
  const { certificates } = await ca.issue(request({ publicKey: publicDer, ips: ['127.0.0.1'] }));
  const directory = folder();
  const [caFile, tokenFile] = [join(directory, 'ca.crt'), join(directory, 'token')];
  writeFileSync(caFile, ca.news.roots.join(''));
  writeFileSync(tokenFile, 'sesame\n');
  const listener: RequestListener =
    answer ??
    ((asked, response) => {
      const known = asked.headers.authorization === 'Bearer sesame';
      response.writeHead(known ? 200 : 401).end(known ? keys : '{}');
    });
  const key = own.privateKey.export({ type: 'pkcs8', format: 'pem' });
  const server = await listening(createServer({ cert: certificates.join(''), key }, listener));
  const token = await new jose.SignJWT({ sub: 'system:serviceaccount:shop:cart' })
    .setProtectedHeader({ alg: 'RS256', kid: 'a' })
    .setIssuer(issuer)
    .setAudience('inmesh')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return { jwks: `https://127.0.0.1:${server}/openid/v1/jwks`, caFile, tokenFile, token };
}

async function listening(server: Server | ReturnType<typeof createPlain>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** What the attestor says, and what it tells only its log. */
async function attested(options: Omit<KubernetesOptions, 'issuer'>, token: string) {
  const told: string[] = [];
  const tell = (_: string, fields?: object): void => void told.push(JSON.stringify(fields));
  const logger = { debug: tell, info: tell, warn: tell, error: tell };
  const attestor = kubernetesAttestor({ issuer, ...options }, () => 'cluster.local', { clock: systemClock, logger });
  const result = await attestor.attest({ token, peer: undefined }).catch((error: Error) => error);
  return { result, told: told.join('\n') };
}

test('the keys of a cluster are had from its API server: by its own authority, and with a token', async () => {
  const { jwks, caFile, tokenFile, token } = await cluster();
  expect((await attested({ jwks, caFile, tokenFile }, token)).result).toMatchObject({
    spiffeId: 'spiffe://cluster.local/ns/shop/sa/cart',
  });
});

test.each([
  ['without its authority', 'caFile', /certificate/],
  ['without a token', 'tokenFile', /401/],
] as const)('they are not had %s', async (_, missing, why) => {
  const { token, ...options } = await cluster();
  const { result, told } = await attested({ ...options, [missing]: undefined } as never, token);
  expect(result).toMatchObject({ reason: 'unavailable' });
  expect(told).toMatch(why);
  expect(told).not.toContain('sesame');
});

test('an answer without end is not read to the end', async () => {
  let sent = 0;
  const endless: RequestListener = (_, response) => {
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536;
    };
    response.on('drain', more);
    more();
  };
  const { token, ...options } = await cluster(endless);
  const { result, told } = await attested(options, token);
  expect(result).toMatchObject({ reason: 'unavailable' });
  expect(told).toMatch(/more than 262144 bytes/);
  expect(sent).toBeLessThan(64 * 1024 * 1024);
});

test('a redirect is not followed: the token is for nobody else', async () => {
  let reached = false;
  const port = await listening(
    createPlain((_, response) => {
      reached = true;
      response.end('{}');
    }),
  );
  const { token, ...options } = await cluster(
    (_, response) => void response.writeHead(302, { location: `http://127.0.0.1:${port}/` }).end(),
  );
  const { result, told } = await attested(options, token);
  expect(result).toMatchObject({ reason: 'unavailable' });
  expect(told).toMatch(/302/);
  expect(reached).toBe(false);
});

test.each(['http://kubernetes.default.svc/openid/v1/jwks', 'http://10.0.0.1/keys', 'ftp://x/keys'])(
  'keys are not had from %s: whoever is on the way could put in his own',
  (jwks) => {
    expect(() => parseCaOptions({ kubernetes: { issuer, jwks } }, 'ca')).toThrow(/ca\.kubernetes\.jwks.*https/);
  },
);

test.each([
  'https://kubernetes.default.svc/keys',
  'http://127.0.0.1:8001/openid/v1/jwks',
  'http://localhost:8001/keys',
  '/etc/keys.json',
])('keys may be had from %s', (jwks) => {
  expect(parseCaOptions({ kubernetes: { issuer, jwks, caFile: 'ca.crt', tokenFile: 'token' } }, 'ca')).toBeDefined();
});
