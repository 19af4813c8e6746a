import { createPublicKey } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import type { Signer } from '../../../src/controlplane/ca/signer.js';
import { processSigner } from '../../../src/controlplane/ca/signers/process.js';
import { vaultSigner } from '../../../src/controlplane/ca/signers/vault.js';
import { checkCsr } from '../../../src/controlplane/ca/x509/csr.js';
import { certificateRequest, newPrivateKey } from '../../../src/identity/csr.js';
import { authorities, ID } from './support.js';

const { open, folder, closeAll } = authorities();
const closing: (() => void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await closeAll();
});

async function aRequest() {
  const key = await newPrivateKey();
  const csr = certificateRequest(key, { spiffeId: ID });
  return { spiffeId: ID, publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }), csr, by: 'test' };
}

/** How somebody else's PKI misbehaves. */
interface Habits {
  /** What it certifies in place of what it was asked for. */
  spiffeId?: string;
  /** Answers 503 that often first. */
  down?: number;
}

/** Vault's PKI engine, with an authority of ours behind it. */
async function vault(behind: CertificateAuthority, habits: Habits): Promise<Signer> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', async () => {
      if (request.headers['x-vault-token'] !== 'sesame')
        return void response.writeHead(403).end('{"errors":["permission denied"]}');
      if ((habits.down ?? 0) > 0) {
        habits.down = (habits.down ?? 0) - 1;
        return void response.writeHead(503).end('{"errors":["Vault is sealed"]}');
      }
      if (request.url === '/v1/pki/ca_chain') return void response.end(behind.news.roots.join(''));
      if (request.url === '/v1/pki/crl/pem') return void response.end(behind.news.crls[1]);
      const asked = JSON.parse(body) as { csr: string; uri_sans: string; ttl: string; serial_number?: string };
      if (request.url === '/v1/pki/revoke') {
        await behind.revoke(asked.serial_number as string);
        return void response.end('{"data":{}}');
      }
      const { publicKey } = checkCsr(asked.csr);
      const lifetimeMs = Number.parseInt(asked.ttl, 10) * 1_000;
      const { certificates } = await behind.issue({
        spiffeId: habits.spiffeId ?? asked.uri_sans,
        publicKey,
        lifetimeMs,
        by: 'vault',
      });
      const [certificate, ...ca_chain] = certificates;
      response.end(JSON.stringify({ data: { certificate, ca_chain, issuing_ca: ca_chain[0] } }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => void server.close());
  return vaultSigner({
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    role: 'mesh',
    token: () => 'sesame',
  });
}

/** A program that asks the authority behind it over a file: here it is node, which asks our Vault. */
async function program(behind: CertificateAuthority, habits: Habits): Promise<Signer> {
  const server = createServer((request, response) => {
    let csr = '';
    request.on('data', (chunk) => {
      csr += chunk;
    });
    request.on('end', async () => {
      const { publicKey } = checkCsr(csr);
      const { certificates } = await behind.issue({
        spiffeId: habits.spiffeId ?? ID,
        publicKey,
        lifetimeMs: 3_600_000,
        by: 'program',
      });
      response.end(certificates.join(''));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => void server.close());
  const directory = folder();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const script = `let csr = ''; process.stdin.on('data', (c) => { csr += c; }).on('end', async () => {
    process.stdout.write(await (await fetch('${url}', { method: 'POST', body: csr })).text());
  });`;
  writeFileSync(join(directory, 'roots.pem'), behind.news.roots.join(''));
  return processSigner({ command: [process.execPath, '-e', script], roots: join(directory, 'roots.pem') });
}

describe.each([
  ['Vault', vault],
  ['a program', program],
])('%s as the signer', (_, make) => {
  test('certifies what was attested, and its roots are what is trusted', async () => {
    const behind = await open();
    const ca = await open({ signer: await make(behind, {}) });
    const { certificates, spiffeId } = await ca.issue(await aRequest());
    expect(spiffeId).toBe(ID);
    expect(certificates.length).toBe(2);
    expect(ca.news.roots).toEqual(behind.news.roots);
  });

  test('that certifies another identity is not believed', async () => {
    const ca = await open({
      signer: await make(await open(), { spiffeId: 'spiffe://cluster.local/ns/default/sa/admin' }),
    });
    await expect(ca.issue(await aRequest())).rejects.toThrow(/not asked for: its names/);
    for await (const record of ca.issued()) expect(record).toBeUndefined();
  });
});

test('Vault is asked again while it is sealed for a moment', async () => {
  const habits: Habits = {};
  const ca = await open({ signer: await vault(await open(), habits) });
  habits.down = 2;
  await expect(ca.issue(await aRequest())).resolves.toMatchObject({ spiffeId: ID });
});

test('a revocation goes to Vault, and its list to everybody', async () => {
  const behind = await open();
  const ca = await open({ signer: await vault(behind, {}) });
  const { serial } = await ca.issue(await aRequest());
  await ca.revoke(serial);
  expect(behind.isRevoked(serial)).toBe(true);
  expect(ca.news.crls).toEqual([behind.news.crls[1]]);
});

test('a program that fails says why', async () => {
  const directory = folder();
  writeFileSync(join(directory, 'roots.pem'), (await open()).news.roots.join(''));
  const command = [process.execPath, '-e', 'console.error("the key is in the safe"); process.exit(3)'] as const;
  const ca = await open({ signer: processSigner({ command, roots: join(directory, 'roots.pem') }) });
  await expect(ca.issue(await aRequest())).rejects.toThrow(/ended with 3: the key is in the safe/);
});
