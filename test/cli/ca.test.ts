import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CertificateAuthority } from '../../src/controlplane/ca/authority.js';
import { vaultSigner } from '../../src/controlplane/ca/signers/vault.js';
import { systemClock } from '../../src/core/clock.js';
import { runCa } from './ca-runner.js';
import { PkiServer, vaultAnswer } from '../controlplane/ca/pki-server.js';

const ID = 'spiffe://cluster.local/ns/default/sa/web';
let folder: string;
let dir: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-ca-'));
  dir = join(folder, 'ca');
  await (await CertificateAuthority.open({ directory: dir })).close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ca = (...args: string[]) => runCa(dir, folder, args);

test('issues, lists and revokes', async () => {
  expect(await ca('issue', ID, '--out', join(folder, 'web'))).toMatchObject({
    code: 0,
    out: `${ID} until <time>, serial <serial>: <folder>/web.pem, <folder>/web.key\n`,
  });
  expect(statSync(join(folder, 'web.key')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(folder, 'web.pem'), 'utf8').match(/BEGIN/g)).toHaveLength(2);
  expect((await ca('list')).out.replace(/ +/g, ' ')).toBe(
    `SERIAL UNTIL STATE SPIFFE ID ATTESTED BY\n<serial> <time> good ${ID} cli\n`,
  );
  expect(await ca('revoke', ID, '--reason', 'keyCompromise')).toMatchObject({
    code: 0,
    out: `revoked <serial> (${ID})\n`,
  });
  expect(await ca('revoke', ID)).toMatchObject({ code: 0, out: 'revoked before\n' });
  const [row] = JSON.parse((await ca('list', '-o', 'json')).raw) as unknown[];
  expect(row).toMatchObject({ spiffeId: ID, by: 'cli', reason: 'keyCompromise' });
});

test('what does not exist cannot be revoked', async () => {
  expect(await ca('revoke', 'spiffe://cluster.local/ns/default/sa/nobody')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/no certificate that has not ended/),
  });
});

test('rotates the root step by step', async () => {
  expect((await ca('rotate-root')).out).toBe(
    'root <id> is trusted from now on, and signs from <time> (sooner: rotate-root --next)\n',
  );
  expect((await ca('bundle')).out.match(/BEGIN/g)).toHaveLength(2);
  // No leaf lives under the old root: it goes in the same breath.
  expect(await ca('rotate-root', '--next')).toMatchObject({ code: 0, out: 'the new root is the only one now\n' });
  expect((await ca('bundle')).out.match(/BEGIN/g)).toHaveLength(1);
});

test('makes, lists and removes join tokens', async () => {
  const made = await ca('token', 'create', ID, '--ttl', '600');
  expect(made.raw).toMatch(/^[0-9a-f]{12}\.[\w-]{43}\.[0-9a-f]{64}\n$/);
  expect((await ca('token', 'list')).out.replace(/ +/g, ' ')).toBe(
    `ID UNTIL STATE SPIFFE ID\n<id> <time> good ${ID}\n`,
  );
  expect((await ca('token', 'list', '-o', 'json')).raw).not.toContain(made.raw.split('.')[1]);
  expect(await ca('token', 'remove', made.raw.slice(0, 12))).toMatchObject({ code: 0, out: 'removed <id>\n' });
  expect(await ca('token', 'remove', made.raw.slice(0, 12))).toMatchObject({ code: 1 });
});

test('a lifetime is a duration, and one that nobody would be given is refused with the most that there is', async () => {
  const made = JSON.parse((await ca('token', 'create', ID, '--ttl', '90m', '-o', 'json')).raw) as { expiresAt: string };
  expect(Math.round((Date.parse(made.expiresAt) - Date.now()) / 60_000)).toBe(90);
  expect(await ca('token', 'create', ID, '--ttl', '721h')).toMatchObject({
    code: 2,
    err: expect.stringContaining('It must be 720h at most.'),
  });
  const issue = (ttl: string) => ca('issue', ID, '--out', join(folder, 'long'), '--ttl', ttl);
  expect(await issue('99999999')).toMatchObject({ code: 2, err: expect.stringContaining('It must be 2160h at most.') });
  expect(await issue('1d')).toMatchObject({ code: 2, err: expect.stringContaining('as 30m or 24h') });
  expect(await issue('2160h')).toMatchObject({ code: 0 });
});

test('verifies the audit log, and finds what was tampered with', async () => {
  await ca('issue', ID, '--out', join(folder, 'web'));
  expect(await ca('audit', 'verify')).toMatchObject({ code: 0, out: '2 lines in order, head 2:<hash>\n' });
  // Without more it does the same.
  expect(await ca('audit')).toMatchObject({ code: 0, out: '2 lines in order, head 2:<hash>\n' });
  expect(await ca('audit', 'mend')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/Allowed choices are verify/),
  });
  const file = join(dir, 'audit.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('sa/web', 'sa/abc'));
  expect(await ca('audit', 'verify')).toMatchObject({
    code: 1,
    out: 'audit.jsonl:2: it was changed: its hash is another one (1 lines before it are in order)\n',
  });
});

describe('of an authority that somebody else signs for', () => {
  const servers: PkiServer[] = [];
  beforeEach(() => {
    vi.stubEnv('VAULT_TOKEN', 'sesame');
    // A machine that has it for other ends does not change who signs.
    vi.stubEnv('VAULT_ADDR', 'http://127.0.0.1:1');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  async function signedByVault() {
    dir = join(folder, 'elsewhere');
    const pki = await CertificateAuthority.open({ directory: join(folder, 'pki') });
    const stranger = await CertificateAuthority.open({ directory: join(folder, 'stranger') });
    const server = await new PkiServer(systemClock, pki, stranger, vaultAnswer).start();
    servers.push(server);
    const flags = ['--vault-role', 'mesh', '--vault-addr', server.url];
    const signer = vaultSigner({ url: server.url, role: 'mesh', token: () => 'sesame' });
    await (await CertificateAuthority.open({ directory: dir, signer })).close();
    return { flags, pki, close: () => Promise.all([pki.close(), stranger.close()]) };
  }

  test('tokens are made, and roots are told, without him', async () => {
    const { pki, close } = await signedByVault();
    expect((await ca('token', 'create', ID)).code).toBe(0);
    expect((await ca('bundle')).raw).toBe(pki.news.roots.join(''));
    expect((await ca('list')).code).toBe(0);
    await close();
  });

  test('nothing is issued or revoked where he is not named', async () => {
    const { close } = await signedByVault();
    for (const args of [
      ['issue', ID, '--out', join(folder, 'web')],
      ['revoke', ID],
    ])
      expect(await ca(...args)).toMatchObject({ code: 1, err: expect.stringMatching(/name who signs for it/) });
    await close();
  });

  test('certificates are issued and revoked by him', async () => {
    const { flags, pki, close } = await signedByVault();
    expect((await ca('issue', ID, '--out', join(folder, 'web'), ...flags)).code).toBe(0);
    const { serialNumber } = new X509Certificate(readFileSync(join(folder, 'web.pem')));
    expect(await ca('revoke', ID, ...flags)).toMatchObject({ code: 0, out: `revoked <serial> (${ID})\n` });
    expect(pki.isRevoked(serialNumber)).toBe(true);
    await close();
  });
});

test.each([
  [['--vault-addr', 'https://vault'], /need --vault-role/],
  [['--vault-role', 'a', '--signer', 'b'], /not both/],
  [['--vault-role', 'mesh', '--vault-addr', 'vault'], /--vault-addr or VAULT_ADDR/],
  [['--vault-role', 'mesh', '--vault-addr', 'https://vault'], /needs a token/],
  [['--signer', 'sign'], /needs --signer-roots/],
  [['--signer-arg', 'x'], /need --signer$/m],
])('%j is refused before anything is opened', async (flags, problem) => {
  const answer = await ca('revoke', ID, ...flags);
  expect(answer).toMatchObject({ code: 2, err: expect.stringMatching(problem) });
});

test('makes no authority where there is none', async () => {
  dir = join(folder, 'elsewhere');
  expect(await ca('list')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/there is no authority in <folder>\/elsewhere/),
  });
});
