import { execFileSync } from 'node:child_process';
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import type { Signer } from '../../../src/controlplane/ca/signer.js';
import { processSigner } from '../../../src/controlplane/ca/signers/process.js';
import { type VaultSignerOptions, vaultSigner } from '../../../src/controlplane/ca/signers/vault.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type TestCa, testCa } from '../../support/pki.js';
import { anotherKey, PkiServer, programAnswer, vaultAnswer, WAYS } from './pki-server.js';
import { aRequest, outcome, type SignerFixture, signerContract } from './signer-contract.js';
import { authorities, ID } from './support.js';

const { open, folder, closeAll, clock } = authorities(new FakeClock(3_600_000, Date.now()));
const servers: PkiServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  await closeAll();
});

async function served(
  answer: typeof vaultAnswer,
  tls?: { readonly key: string; readonly cert: string },
): Promise<PkiServer> {
  const server = await new PkiServer(clock, await open(), await open(), answer, tls).start();
  servers.push(server);
  return server;
}

const vaultOf = ({ url }: PkiServer, more: Partial<VaultSignerOptions> = {}): Signer =>
  vaultSigner({ url, role: 'mesh', token: () => 'sesame', clock, ...more });

/** An authority over a folder, with a signer of its own at each start. */
function fixtureOf(server: PkiServer, signer: () => Signer): SignerFixture {
  const directory = folder();
  return { clock, open: () => open({ directory, signer: signer() }), behave: (way) => server.behave(way) };
}

/** A program that asks our server: node, which says by its exit code how it went. */
async function program(): Promise<SignerFixture> {
  const server = await served(programAnswer);
  const roots = join(folder(), 'roots.pem');
  writeFileSync(roots, server.behind.news.roots.join(''));
  const script = `let csr = ''; process.stdin.on('data', (c) => { csr += c; }).on('end', async () => {
    const { INMESH_SPIFFE_ID: id, INMESH_NOT_AFTER: until } = process.env;
    const answer = await fetch('${server.url}/?' + new URLSearchParams({ id, until }), { method: 'POST', body: csr });
    process.stdout.write(await answer.text());
  });`;
  return fixtureOf(server, () => processSigner({ command: [process.execPath, '-e', script], roots, clock }));
}

async function vault(): Promise<SignerFixture> {
  const server = await served(vaultAnswer);
  return fixtureOf(server, () => vaultOf(server));
}

/** Over TLS, under a root that no system knows. */
async function vaultOverTls(pki: TestCa = testCa()) {
  const { keyPem, chainPem } = pki.issue({ name: 'vault' });
  const server = await served(vaultAnswer, { key: keyPem, cert: chainPem });
  return { server, root: pki.root };
}

/** The authority's own keys: what is in its folder is spoilt. */
async function builtIn(): Promise<SignerFixture> {
  const directory = folder();
  const keys = join(directory, 'keys');
  let before = new Map<string, string>();
  return {
    clock,
    open: () => open({ directory }),
    behave(way) {
      if (way === 'good') {
        for (const [name, text] of before) writeFileSync(join(keys, name), text, { mode: 0o600 });
        return;
      }
      before = new Map(readdirSync(keys).map((name) => [name, readFileSync(join(keys, name), 'utf8')]));
      for (const name of before.keys()) {
        if (way === 'dead') rmSync(join(keys, name));
        else writeFileSync(join(keys, name), way === 'another key' ? anotherKey() : 'garbage', { mode: 0o600 });
      }
    },
  };
}

/** An intermediate of files, as a company's PKI hands it out. */
async function files(): Promise<SignerFixture> {
  const directory = folder();
  const [own, other] = [company(), company()];
  const at = join(folder(), 'given');
  const paths = { certificate: `${at}.pem`, key: `${at}.key`, roots: `${at}.roots` };
  const take = (from: Readonly<Record<keyof typeof paths, string>>): void => {
    for (const part of ['certificate', 'key', 'roots'] as const) copyFileSync(from[part], paths[part]);
  };
  take(own);
  return {
    clock,
    open: () => open({ directory, intermediate: paths }),
    behave(way) {
      take(own);
      if (way === 'dead') rmSync(paths.key);
      if (way === 'another key') copyFileSync(other.key, paths.key);
      if (way === 'another chain') copyFileSync(other.roots, paths.roots);
      if (way === 'garbage') writeFileSync(paths.certificate, 'garbage');
      if (way === 'nothing') writeFileSync(paths.roots, '');
    },
  };
}

function company(): { readonly certificate: string; readonly key: string; readonly roots: string } {
  const cwd = folder();
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd, stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const usage = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign,cRLSign'];
  const config = ['[req]', 'distinguished_name=dn', '[dn]', '[none]', ''].join('\n');
  writeFileSync(join(cwd, 'openssl.cnf'), config);
  const req = ['req', '-config', 'openssl.cnf', ...key];
  openssl(
    ...req,
    '-x509',
    '-extensions',
    'none',
    '-days',
    '30',
    '-subj',
    '/O=Example/CN=Root',
    ...usage,
    '-keyout',
    'rk.pem',
    '-out',
    'r.pem',
  );
  openssl(...req, ...usage, '-subj', '/O=Example/CN=Mesh', '-keyout', 'ik.pem', '-out', 'i.csr');
  const sign = ['-CA', 'r.pem', '-CAkey', 'rk.pem', '-CAcreateserial', '-copy_extensions', 'copyall'];
  openssl('x509', '-req', '-in', 'i.csr', ...sign, '-days', '20', '-out', 'i.pem');
  const file = (name: string): string => join(cwd, name);
  return { certificate: file('i.pem'), key: file('ik.pem'), roots: file('r.pem') };
}

describe('keys of its own', () => {
  signerContract(builtIn, { ways: ['dead', 'another key', 'garbage'], atStart: true });
});

describe('an intermediate of files', () => {
  signerContract(files, { ways: ['dead', 'another key', 'another chain', 'garbage', 'nothing'], atStart: true });
});

describe('a program', () => {
  signerContract(program, { ways: WAYS });

  test('that fails says why', async () => {
    const roots = join(folder(), 'roots.pem');
    writeFileSync(roots, (await open()).news.roots.join(''));
    const command = [process.execPath, '-e', 'console.error("the key is in the safe"); process.exit(3)'] as const;
    const ca = await open({ signer: processSigner({ command, roots }) });
    await expect(ca.issue(await aRequest())).rejects.toThrow(/ended with 3: the key is in the safe/);
  });

  test('that is not there is told of by its name', async () => {
    const roots = join(folder(), 'roots.pem');
    writeFileSync(roots, (await open()).news.roots.join(''));
    const ca = await open({ signer: processSigner({ command: ['/nowhere/sign'], roots }) });
    await expect(ca.issue(await aRequest())).rejects.toThrow(/process \/nowhere\/sign: .*ENOENT/);
  });
});

describe('Vault', () => {
  signerContract(vault, { ways: WAYS });

  test('is asked again while it is sealed for a moment', async () => {
    const server = await served(vaultAnswer);
    const ca = await open({ signer: vaultOf(server) });
    server.habits.busy = 2;
    expect(await outcome(clock, ca.issue(await aRequest()))).toMatchObject({ spiffeId: ID });
  });

  test('is told of a revocation, and its list is everybody’s', async () => {
    const server = await served(vaultAnswer);
    const ca = await open({ signer: vaultOf(server) });
    const { serial } = await ca.issue(await aRequest());
    await ca.revoke(serial);
    expect(server.behind.isRevoked(serial)).toBe(true);
    expect(ca.news.crls).toEqual([server.behind.news.crls[1]]);
  });

  test('that takes the token no more is no fault of who asks, and the token is in no error', async () => {
    const server = await served(vaultAnswer);
    let token = 'sesame';
    const ca = await open({ signer: vaultOf(server, { token: () => token }) });
    token = 'secret-of-yesterday';
    const error = await ca.issue(await aRequest()).catch((reason: Error) => reason);
    expect(error).toMatchObject({
      reason: 'unavailable',
      message: expect.stringMatching(/vault .*403 .*permission denied/),
    });
    expect(String(error)).not.toContain(token);
  });

  test('is not waited for where its token is not to be had', async () => {
    const server = await served(vaultAnswer);
    let token: () => Promise<string> = async () => 'sesame';
    const ca: CertificateAuthority = await open({ signer: vaultOf(server, { token: () => token() }) });
    token = () => new Promise(() => {});
    expect(await outcome(clock, ca.issue(await aRequest()))).toMatchObject({ reason: 'unavailable' });
  });
});

describe('Vault over TLS', () => {
  signerContract(
    async () => {
      const { server, root } = await vaultOverTls();
      return fixtureOf(server, () => vaultOf(server, { ca: root }));
    },
    { ways: ['slow', 'dead', 'garbage', 'another chain'] },
  );

  test.each([
    ['whose root was not given', undefined],
    ['of another root', testCa().root],
  ])('%s is not shown the token', async (_, ca) => {
    let shown = 0;
    const { server } = await vaultOverTls();
    const token = (): string => {
      shown++;
      return 'sesame';
    };
    const opening = open({ signer: vaultOf(server, { token, ...(ca !== undefined && { ca }) }) });
    const error = await outcome(clock, opening);
    expect(String(error)).toMatch(/vault https:.*(certificate|issuer)/);
    expect(shown).toBeGreaterThan(0);
    expect(server.asked).toBe(0);
  });

  test('of another name is not shown the token', async () => {
    const pki = testCa();
    const { keyPem, chainPem } = pki.issue({ name: 'vault', dns: ['vault.example'], ip: [] });
    const server = await served(vaultAnswer, { key: keyPem, cert: chainPem });
    expect(String(await outcome(clock, open({ signer: vaultOf(server, { ca: pki.root }) })))).toMatch(
      /altnames|does not match/,
    );
    expect(server.asked).toBe(0);
  });
});
