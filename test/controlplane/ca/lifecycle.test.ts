import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import type { AuthorityNews } from '../../../src/controlplane/ca/authority.js';
import { embeddedIdentity } from '../../../src/controlplane/ca/embedded.js';
import { AuditLog } from '../../../src/controlplane/ca/store/audit.js';
import { verifyAudit } from '../../../src/controlplane/ca/store/audit-verify.js';
import { SigningQueue } from '../../../src/controlplane/ca/service/queue.js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentityState } from '../../../src/core/identity.js';
import { seededRandom } from '../../../src/core/random.js';
import { readCrls } from '../../../src/identity/crl.js';
import { authorities, breath, DAY, ID, request } from './support.js';

const { open, folder, closeAll, clock } = authorities();
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((one) => one.close()));
  await closeAll();
});

const serialsIn = (news: AuthorityNews): string[] =>
  readCrls(news.crls.join('')).flatMap(({ revoked }) => [...revoked.keys()].map((serial) => serial.toLowerCase()));

describe('revocation', () => {
  test('is in a signed list at once, and those who watch are told', async () => {
    const ca = await open();
    const { serial } = await ca.issue(request());
    const told: AuthorityNews[] = [];
    ca.watch((news) => told.push(news));
    await ca.revoke(serial, 'keyCompromise');
    expect(told).toHaveLength(2);
    expect(serialsIn(told[1] as AuthorityNews)).toEqual([serial]);
    expect(ca.isRevoked(serial.toUpperCase())).toBe(true);
  });

  test('goes by fingerprint as well, and by SPIFFE ID for all that it has', async () => {
    const ca = await open();
    const [a, b, c] = [await ca.issue(request()), await ca.issue(request()), await ca.issue(request())];
    expect(await ca.revoke(a.fingerprint)).toHaveLength(1);
    expect((await ca.revoke(ID)).map(({ serial }) => serial)).toEqual([b.serial, c.serial]);
    await expect(ca.revoke('ff'.repeat(16))).rejects.toThrow(/no certificate/);
  });

  test('in one process is known to another that shares the folder', async () => {
    const directory = folder();
    const [a, b] = [await open({ directory }), await open({ directory })];
    const { serial } = await a.issue(request());
    const told = new Promise<void>((resolve) => {
      b.watch((news) => {
        if (serialsIn(news).includes(serial)) resolve();
      });
    });
    await a.revoke(serial);
    await told;
  });

  test('is forgotten when the certificate has ended', async () => {
    const ca = await open();
    const { serial } = await ca.issue(request());
    await ca.revoke(serial);
    await clock.advance(2 * DAY);
    await ca.issue(request());
    for (let i = 0; i < 500 && serialsIn(ca.news).length > 0; i++) await breath();
    expect(serialsIn(ca.news)).toEqual([]);
  });
});

describe('rotation of the root', () => {
  const rootOf = (certificates: readonly string[], roots: readonly string[]): number =>
    roots.findIndex((pem) => new X509Certificate(certificates[1] as string).verify(new X509Certificate(pem).publicKey));

  test('first all trust both, then the new one signs, then the old one goes when its last leaf has ended', async () => {
    const ca = await open();
    const old = await ca.issue(request());
    expect(await ca.rotateRoot()).toMatchObject({ step: 'distribute' });
    expect(ca.news.roots).toHaveLength(2);
    expect(rootOf((await ca.issue(request())).certificates, ca.news.roots)).toBe(0);
    await ca.rotateRoot('next');
    expect(rootOf((await ca.issue(request())).certificates, ca.news.roots)).toBe(1);
    expect(ca.news.roots).toHaveLength(2);
    // Too early: it stays, and who asks hears of whom it would cut off.
    await expect(ca.rotateRoot('next')).rejects.toThrow(/^2 certificates are .* Each of their workloads has one under/);
    expect(ca.news.roots).toHaveLength(2);
    expect(ca.state.rotation?.until).toBeGreaterThanOrEqual(old.notAfter);
    await clock.advance(2 * DAY);
    for (let i = 0; i < 500 && ca.news.roots.length > 1; i++) await breath();
    expect(ca.news.roots).toHaveLength(1);
    expect(rootOf((await ca.issue(request())).certificates, ca.news.roots)).toBe(0);
    expect(readdirSync(join(ca.directory, 'keys'))).toHaveLength(2);
  });

  test('goes on after a restart', async () => {
    const directory = folder();
    const ca = await open({ directory });
    await ca.issue(request());
    await ca.rotateRoot();
    await ca.close();
    await clock.advance(2 * 3_600_000);
    const again = await open({ directory });
    expect(again.state.rotation?.step).toBe('retire');
  });

  test('the old root goes before its time only where that is said, or nobody needs it', async () => {
    const ca = await open();
    const { serial, spiffeId } = await ca.issue(request());
    await ca.rotateRoot();
    await ca.rotateRoot('next');
    await expect(ca.rotateRoot('next')).rejects.toThrow(`1 workload has none under the new root yet (${spiffeId})`);
    expect(ca.news.roots).toHaveLength(2);
    await ca.revoke(serial);
    expect(await ca.rotateRoot('next')).toBeUndefined();
    await ca.issue(request());
    await ca.rotateRoot();
    await ca.rotateRoot('next');
    expect(await ca.rotateRoot('next', true)).toBeUndefined();
    expect(ca.news.roots).toHaveLength(1);
  });

  test('a second one waits for the first', async () => {
    const ca = await open();
    await ca.rotateRoot();
    await expect(ca.rotateRoot()).rejects.toThrow(/already/);
  });
});

describe('the audit log', () => {
  async function written() {
    const ca = await open();
    for (let i = 0; i < 5; i++) await ca.issue(request());
    const file = join(ca.directory, 'audit.jsonl');
    const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    return { ca, file, lines };
  }

  test('tells of everything, and is whole', async () => {
    const { ca, lines } = await written();
    expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      'create',
      ...Array(5).fill('issue'),
    ]);
    expect(await verifyAudit(ca.directory)).toMatchObject({ lines: 6, problem: undefined });
  });

  test.each([
    ['changed', (lines: string[]) => lines.map((line, i) => (i === 2 ? line.replace('sa/web', 'sa/abc') : line)), 3],
    ['taken out', (lines: string[]) => lines.filter((_, i) => i !== 2), 3],
    [
      'moved',
      (lines: string[]) => [...lines.slice(0, 2), lines[3] as string, lines[2] as string, ...lines.slice(4)],
      3,
    ],
    ['put in twice', (lines: string[]) => [...lines.slice(0, 3), lines[2] as string, ...lines.slice(3)], 4],
    ['cut off at the end', (lines: string[]) => lines.slice(0, 4), 4],
    ['cut off altogether', () => [], 0],
  ])('a line that was %s is found', async (_, change, line) => {
    const { ca, file, lines } = await written();
    writeFileSync(
      file,
      change(lines)
        .map((text) => `${text}\n`)
        .join(''),
    );
    expect((await verifyAudit(ca.directory)).problem).toMatchObject({ line });
    await ca.issue(request());
    expect((await verifyAudit(ca.directory)).problem).toBeDefined();
  });

  test.each([
    ['altogether', () => true],
    ['but for its head', (name: string) => name !== 'audit.head'],
  ])('that was erased %s is missed, and stays so when the authority goes on', async (_, erased) => {
    const { ca } = await written();
    for (const name of readdirSync(ca.directory))
      if (name.startsWith('audit') && erased(name)) rmSync(join(ca.directory, name));
    expect((await verifyAudit(ca.directory)).problem).toBeDefined();
    await ca.issue(request());
    expect((await verifyAudit(ca.directory)).problem).toBeDefined();
    await ca.issue(request());
    expect((await verifyAudit(ca.directory)).problem).toBeDefined();
  });

  test('of a folder that has no authority yet is empty, and that is no problem', async () => {
    expect(await verifyAudit(folder())).toMatchObject({ lines: 0, problem: undefined });
  });

  test('a folder that was put back to an earlier day is found by a head that was written down', async () => {
    const { ca, file } = await written();
    const [log, head] = [readFileSync(file), readFileSync(join(ca.directory, 'audit.head'))];
    await ca.issue(request());
    const { head: anchor } = await verifyAudit(ca.directory);
    writeFileSync(file, log);
    writeFileSync(join(ca.directory, 'audit.head'), head);
    expect((await verifyAudit(ca.directory)).problem).toBeUndefined();
    expect((await verifyAudit(ca.directory, anchor)).problem?.what).toMatch(/cut off/);
  });

  test('a crash in the middle of a line is no tampering', async () => {
    const { ca, file } = await written();
    writeFileSync(file, '{"seq":7,"ti', { flag: 'a' });
    await ca.issue(request());
    expect(await verifyAudit(ca.directory)).toMatchObject({ lines: 7, problem: undefined });
  });

  test('goes on over its files, and begins later when the oldest have gone', async () => {
    const directory = folder();
    const log = new AuditLog(directory, { fileBytes: 500, files: 3 });
    for (let i = 0; i < 30; i++) await log.append([{ event: 'issue', i }], 0);
    expect((await log.files()).length).toBeLessThanOrEqual(4);
    const verdict = await verifyAudit(directory);
    expect(verdict.problem).toBeUndefined();
    expect(verdict.head.seq).toBe(30);
    expect(verdict.lines).toBeLessThan(30);
  });
});

describe('an embedded authority', () => {
  const first = (source: ReturnType<typeof embeddedIdentity>): Promise<IdentityState> =>
    new Promise((resolve, reject) => source.watch({ changed: resolve, failed: reject }));
  const embedded = (directory: string, service: string) => {
    const spiffeId = `spiffe://cluster.local/ns/default/sa/${service}`;
    const source = embeddedIdentity({ directory, spiffeId, clock, random: seededRandom(1) });
    closing.push(source);
    return source;
  };

  test('gives two workloads identities that believe each other', async () => {
    const directory = join(folder(), 'ca');
    const [a, b] = await Promise.all([first(embedded(directory, 'a')), first(embedded(directory, 'b'))]);
    expect(a.identity?.spiffeId).not.toBe(b.identity?.spiffeId);
    expect(a.trust).toEqual(b.trust);
    expect(JSON.stringify(a)).not.toContain('PRIVATE');
  });

  test('renews at half of the lifetime, and when it was revoked', async () => {
    const directory = join(folder(), 'ca');
    const source = embedded(directory, 'a');
    const before = await first(source);
    const serials: string[] = [];
    source.watch({
      changed: ({ identity }) =>
        void serials.push(new X509Certificate(identity?.certificates[0] as string).serialNumber),
      failed: () => {},
    });
    const differing = async (count: number) => {
      while (new Set(serials).size < count) {
        await breath();
        await clock.advance(10);
      }
      expect(new Set(serials).size).toBe(count);
    };
    await clock.advance(13 * 3_600_000);
    await differing(2);
    const ca = await open({ directory });
    await ca.revoke(before.identity?.spiffeId as string);
    await differing(3);
  });

  test('renews when a new root signs, and is not cut off when the old one goes', async () => {
    const directory = join(folder(), 'ca');
    const source = embedded(directory, 'a');
    await first(source);
    const ca = await open({ directory });
    await ca.rotateRoot();
    await ca.rotateRoot('next');
    const root = new X509Certificate(ca.signingRoot as string);
    const isUnderNewRoot = (): boolean =>
      new X509Certificate(source.current?.identity?.certificates[1] as string).verify(root.publicKey);
    for (let i = 0; i < 500 && !isUnderNewRoot(); i++) {
      await breath();
      await clock.advance(10);
    }
    expect(isUnderNewRoot()).toBe(true);
    await expect(ca.rotateRoot('next')).rejects.toThrow(/Each of their workloads has one under the new root/);
  });
});

describe('the signing queue', () => {
  test('who asks for one is not behind him who asks for a thousand', async () => {
    const queue = new SigningQueue(systemClock, { maxWaiting: 2_000, maxPerCaller: 1_500, batch: 4 });
    closing.push(queue);
    const order: string[] = [];
    const job = (caller: string) => queue.run(caller, async () => void order.push(caller));
    const many = Array.from({ length: 1_000 }, () => job('greedy'));
    await job('modest');
    expect(order.length).toBeLessThan(20);
    await Promise.all(many);
  });

  test('what there is no room for is refused, and told when to come again', async () => {
    const queue = new SigningQueue(systemClock, { maxWaiting: 4, maxPerCaller: 3, batch: 1 });
    closing.push(queue);
    const run = (caller: string) => queue.run(caller, async () => {});
    const good = [run('a'), run('a'), run('a')];
    await expect(run('a')).rejects.toMatchObject({ reason: 'too_many', retryAfterMs: expect.any(Number) });
    good.push(run('b'));
    await expect(run('c')).rejects.toThrow(/4 requests wait/);
    await Promise.all(good);
  });
});
