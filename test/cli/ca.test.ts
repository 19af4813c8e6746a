import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CertificateAuthority } from '../../src/controlplane/ca/authority.js';
import { runCommand } from '../support/cli.js';

const ID = 'spiffe://cluster.local/ns/default/sa/web';
let folder: string;
let dir: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-cli-ca-'));
  dir = join(folder, 'ca');
  await (await CertificateAuthority.open({ directory: dir })).close();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What a command prints, with what differs each time taken out. */
async function ca(...args: string[]) {
  const { code, out, err } = await runCommand(['ca', ...args, '--dir', dir], Promise.resolve());
  const plain = (text: string): string =>
    text
      .replace(/\b[0-9a-f]{64}\b/g, '<hash>')
      .replace(/\b[0-9a-f]{32}\b/g, '<serial>')
      .replace(/\b[0-9a-f]{12}\b/g, '<id>')
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<time>')
      .replaceAll(folder, '<folder>');
  return { code, out: plain(out), err: plain(err), raw: out };
}

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

test('verifies the audit log, and finds what was tampered with', async () => {
  await ca('issue', ID, '--out', join(folder, 'web'));
  expect(await ca('audit', 'verify')).toMatchObject({ code: 0, out: '2 lines in order, head 2:<hash>\n' });
  const file = join(dir, 'audit.jsonl');
  writeFileSync(file, readFileSync(file, 'utf8').replace('sa/web', 'sa/abc'));
  expect(await ca('audit', 'verify')).toMatchObject({
    code: 1,
    out: 'audit.jsonl:2: it was changed: its hash is another one (1 lines before it are in order)\n',
  });
});

test('makes no authority where there is none', async () => {
  dir = join(folder, 'elsewhere');
  expect(await ca('list')).toMatchObject({
    code: 1,
    err: expect.stringMatching(/there is no authority in <folder>\/elsewhere/),
  });
});
