import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CertificateAuthority } from '../../src/controlplane/ca/authority.js';
import { runCa } from './ca-runner.js';

const ID = 'spiffe://cluster.local/ns/default/sa/web';
let folder: string;
let dir: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-ca-'));
  dir = join(folder, 'ca');
  await (await CertificateAuthority.open({ directory: dir })).close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A day of an operator: each command with what it printed and its exit code. */
async function transcript(...more: string[]): Promise<string> {
  let text = '';
  const ca = async (...args: string[]): Promise<void> => {
    const { code, out, err } = await runCa(dir, folder, [...args, ...more]);
    const shown = `${out}${err}`
      .replace(/-----BEGIN (CERTIFICATE|X509 CRL)-----.*?-----END \1-----/gs, (_, what) => `<${what}>`)
      .replace(/ {2,}/g, '  ');
    text += `$ inmesh ca ${args.join(' ').replaceAll(folder, '<folder>')}\n${shown}exit code ${code}\n\n`;
  };
  await ca('issue', ID, '--out', join(folder, 'web'), '--ttl', '600');
  await ca('issue', ID);
  await ca('issue', 'spiffe://elsewhere.example/ns/default/sa/web', '--out', join(folder, 'other'));
  await ca('list');
  await ca('revoke', ID, '--reason', 'keyCompromise');
  await ca('revoke', ID);
  await ca('revoke', 'spiffe://cluster.local/ns/default/sa/nobody');
  await ca('list');
  await ca('bundle');
  await ca('issue', `${ID}-2`, '--out', join(folder, 'web-2'), '--ttl', '10m');
  await ca('rotate-root');
  await ca('rotate-root');
  await ca('bundle');
  await ca('rotate-root', '--next');
  await ca('rotate-root', '--next');
  await ca('rotate-root', '--next', '--force');
  await ca('audit');
  await ca('audit', '--anchor', 'yesterday');
  const log = join(dir, 'audit.jsonl');
  writeFileSync(log, readFileSync(log, 'utf8').replace('keyCompromise', 'superseded'));
  await ca('audit', 'verify');
  return text;
}

test('what the commands print for people', async () => {
  await expect(await transcript()).toMatchFileSnapshot('golden/ca.txt');
});

test('what the commands print for programs', async () => {
  await expect(await transcript('-o', 'json')).toMatchFileSnapshot('golden/ca-json.txt');
});
