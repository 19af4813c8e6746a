import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run } from '../../src/cli/program.js';
import { CertificateAuthority } from '../../src/controlplane/ca/authority.js';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { systemRandom } from '../../src/core/random.js';
import { caIdentity } from '../../src/identity/sources/ca.js';
import { meshClient } from '../../src/index.js';
import { PkiServer, vaultAnswer } from '../controlplane/ca/pki-server.js';
import { runCommand } from '../support/cli.js';

const ID = 'spiffe://cluster.local/ns/shop/sa/cart';
let folder: string;
const closing: (() => Promise<unknown>)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-cp-'));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true, force: true });
});

/** `inmesh controlplane --ca` with these flags, until it says where it is or ends. */
async function start(...flags: string[]) {
  let err = '';
  let stop = (): void => {};
  const stopped = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let said = (_: string): void => {};
  const out = new Promise<string>((resolve) => {
    said = resolve;
  });
  const io = {
    out: (text: string) => said(text),
    err(text: string) {
      err += text;
    },
    logger: () => silentLogger,
    stopped: () => stopped,
  };
  const listens = ['--listen', '127.0.0.1:0', '-o', 'json'];
  const ended = run(['controlplane', ...listens, ...flags], io);
  closing.push(() => {
    stop();
    return ended;
  });
  const first = await Promise.race([out, ended]);
  if (typeof first === 'number') return { code: first, err, address: '', xds: '', admin: '' };
  const { ca: address, xds, admin } = JSON.parse(first) as Readonly<Record<'ca' | 'xds' | 'admin', string>>;
  return { code: undefined, err, address, xds, admin };
}

const ca = (): string => join(folder, 'ca');
const withCa = (...flags: string[]) => start('--ca', ca(), '--ca-listen', '127.0.0.1:0', ...flags);

/** The certificate that a workload has for its token. */
async function joined(address: string, token: string): Promise<string | undefined> {
  const state = JSON.parse(readFileSync(join(ca(), 'state.json'), 'utf8')) as {
    readonly roots: readonly { readonly certificate: string }[];
  };
  const roots = state.roots.map(({ certificate }) => certificate);
  const source = caIdentity({
    ...{ address, roots, spiffeId: ID, clock: systemClock, random: systemRandom },
    token: async () => token,
  });
  closing.push(async () => source.close());
  return new Promise((resolve, reject) => {
    source.watch({ changed: ({ identity }) => resolve(identity?.spiffeId), failed: reject });
  });
}

test('service accounts of a cluster have certificates, where its issuer and keys are named', async () => {
  const jose = await import('jose');
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256', { extractable: true });
  const keys = join(folder, 'jwks.json');
  writeFileSync(keys, JSON.stringify({ keys: [{ ...(await jose.exportJWK(publicKey)), kid: 'a', alg: 'ES256' }] }));
  const issuer = 'https://kubernetes.default.svc';
  const { address } = await withCa(
    ...['--service-account-issuer', issuer, '--service-account-jwks-uri', keys, '--api-audiences', 'mesh', 'other'],
  );
  const token = (audience: string): Promise<string> =>
    new jose.SignJWT({ sub: 'system:serviceaccount:shop:cart' })
      .setProtectedHeader({ alg: 'ES256', kid: 'a' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
  expect(await joined(address, await token('mesh'))).toBe(ID);
  await expect(joined(address, await token('inmesh'))).rejects.toThrow(/service account token is not good/);
});

test('what the authority does is on the admin page /metrics', async () => {
  const { address, admin } = await withCa('--admin', '127.0.0.1:0');
  const { out } = await runCommand(['ca', 'token', 'create', ID, '--dir', ca()]);
  await joined(address, out.trim());
  await expect(joined(address, 'nonsense')).rejects.toThrow(/no kind/);
  const text = await (await fetch(`${admin}/metrics`)).text();
  expect(text).toContain('mesh_ca_certificates_issued{mesh_ca_attestor="join-token"} 1');
  expect(text).toContain('mesh_ca_certificates_refused{mesh_ca_attestor="none",mesh_ca_reason="unauthenticated"} 1');
  expect(text).toMatch(/^mesh_ca_root_expiration_timestamp_seconds \d{10}/m);
});

describe('somebody else signs', () => {
  async function pki() {
    const [behind, stranger] = [
      await CertificateAuthority.open({ directory: join(folder, 'pki') }),
      await CertificateAuthority.open({ directory: join(folder, 'stranger') }),
    ];
    const server = await new PkiServer(systemClock, behind, stranger, vaultAnswer).start();
    closing.push(() => Promise.all([server.stop(), behind.close(), stranger.close()]));
    return { server, behind };
  }
  /** By a join token of `inmesh ca`, which needs nobody who signs. */
  async function tokenFor(id: string): Promise<string> {
    const { code, out } = await runCommand(['ca', 'token', 'create', id, '--dir', ca()]);
    expect(code).toBe(0);
    return out.trim();
  }

  test('Vault, whose token is of a file', async () => {
    const { server, behind } = await pki();
    const file = join(folder, 'token');
    writeFileSync(file, 'sesame\n');
    const { address } = await withCa(
      ...['--vault-role', 'mesh', '--vault-addr', server.url, '--vault-token-file', file],
    );
    expect(await joined(address, await tokenFor(ID))).toBe(ID);
    const names = [];
    for await (const { spiffeId } of behind.issued()) names.push(spiffeId);
    expect(names).toContain(ID);
  });

  test('a program, with its arguments', async () => {
    const { server, behind } = await pki();
    const roots = join(folder, 'roots.pem');
    writeFileSync(roots, behind.news.roots.join(''));
    const script = join(folder, 'sign.mjs');
    writeFileSync(
      script,
      `let csr = '';
      process.stdin.on('data', (c) => { csr += c; }).on('end', async () => {
        const { INMESH_SPIFFE_ID: uri_sans, INMESH_DNS: dns } = process.env;
        const body = JSON.stringify({ csr, uri_sans, alt_names: dns, ip_sans: process.env.INMESH_IPS, ttl: '3600s' });
        const headers = { 'x-vault-token': process.argv[2] };
        const answer = await fetch('${server.url}/v1/pki/sign/mesh', { method: 'POST', body, headers });
        const { data } = await answer.json();
        process.stdout.write([data.certificate, ...data.ca_chain].join(''));
      });`,
    );
    const signer = ['--signer', process.execPath, '--signer-arg', script, '--signer-arg', 'sesame'];
    const { address } = await withCa(...signer, '--signer-roots', roots);
    expect(await joined(address, await tokenFor(ID))).toBe(ID);
  });
});

test.each([
  [['--service-account-issuer', 'https://kubernetes.default.svc'], /both --service-account-issuer and/],
  [['--signer', 'sign', '--signer-roots', 'roots.pem', '--vault-role', 'mesh'], /not both/],
])('%j is refused', async (flags, problem) => {
  expect(await withCa(...flags)).toMatchObject({ code: 2, err: expect.stringMatching(problem) });
});

test('how long certificates that have ended may be renewed is said in seconds, and of an authority', async () => {
  await withCa('--ca-renewal-after-expiry', '3600');
  expect(JSON.parse(readFileSync(join(ca(), 'state.json'), 'utf8'))).toMatchObject({ endedKept: { ms: 3_600_000 } });
  expect(await start('--rate-limits', folder, '--ca-renewal-after-expiry', '3600')).toMatchObject({ code: 2 });
  expect(await withCa('--ca-renewal-after-expiry', '7776001')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/whole number from 0 to 7776000/),
  });
});

test('a signer without an authority is refused', async () => {
  const flags = ['--rate-limits', folder, '--signer', 'sign', '--signer-roots', 'roots.pem'];
  expect(await start(...flags)).toMatchObject({ code: 2, err: expect.stringMatching(/give --ca/) });
});

test('no flag takes the token of Vault itself: arguments are seen by all who are on the machine', async () => {
  expect(await withCa('--vault-role', 'mesh', '--vault-token', 'sesame')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/unknown option '--vault-token'/),
  });
});

test('who says that he is another than his certificate is served with --no-xds-identity-check, and not without it', async () => {
  const config = join(folder, 'mesh.yaml');
  writeFileSync(config, 'apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { endpoints: ["127.0.0.1:1"] }\n');
  const served = async (...flags: string[]): Promise<string> => {
    const { address, xds } = await withCa('--config', config, '--tls', 'strict', ...flags);
    const joinToken = (await runCommand(['ca', 'token', 'create', ID, '--dir', ca()])).out.trim();
    const mesh = meshClient({
      xds: {
        node: { metadata: { SERVICE_ACCOUNT: 'payments' } },
        xds_servers: [{ server_uri: xds, channel_creds: [{ type: 'inmesh_identity' }] }],
      },
      ...{ identity: { ca: { address, joinToken, spiffeId: ID } }, logger: silentLogger },
    });
    closing.push(() => mesh.close());
    return mesh.ready('a').then(
      () => 'served',
      (error: Error) => error.message,
    );
  };
  expect(await served()).toMatch(/SERVICE_ACCOUNT "payments", and its certificate is that of spiffe:.*\/sa\/cart/);
  expect(await served('--no-xds-identity-check')).toBe('served');
});
