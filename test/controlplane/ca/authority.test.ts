import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { authorities, DAY, ID, request } from './support.js';

const { open, folder, closeAll, clock } = authorities();
afterEach(closeAll);

describe('the first start', () => {
  test('makes a root and an intermediate, for this user only', async () => {
    const directory = join(folder(), 'ca');
    const ca = await open({ directory });
    expect(ca.trustDomain).toBe('cluster.local');
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    for (const key of readdirSync(join(directory, 'keys')))
      expect(statSync(join(directory, 'keys', key)).mode & 0o777).toBe(0o600);
    const [root] = ca.news.roots.map((pem) => new X509Certificate(pem));
    expect(root?.ca).toBe(true);
    expect(root?.subjectAltName).toBe('URI:spiffe://cluster.local');
  });

  test('two at once get the same authority', async () => {
    const directory = join(folder(), 'ca');
    const [a, b] = await Promise.all([open({ directory }), open({ directory })]);
    expect(a.news.roots).toEqual(b.news.roots);
  });

  test('a folder that others may look into is refused', async () => {
    const directory = folder();
    execFileSync('chmod', ['755', directory]);
    await expect(open({ directory })).rejects.toThrow(/chmod 700/);
  });

  test('a folder of another trust domain is refused', async () => {
    const directory = folder();
    await open({ directory, trustDomain: 'a.example' });
    await expect(open({ directory, trustDomain: 'b.example' })).rejects.toThrow(/is the authority of a.example/);
  });
});

describe('a leaf', () => {
  test.each(['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'ed25519'] as const)(
    'of an authority with a key of %s is an X509-SVID that OpenSSL verifies',
    async (algorithm) => {
      const directory = folder();
      const ca = await open({ directory, algorithm });
      const { certificates } = await ca.issue(request());
      const at = Math.floor(clock.wallTime() / 1_000);
      writeFileSync(join(directory, 'root.pem'), ca.news.roots.join(''));
      writeFileSync(join(directory, 'chain.pem'), certificates.slice(1).join(''));
      writeFileSync(join(directory, 'leaf.pem'), certificates[0]);
      writeFileSync(join(directory, 'crl.pem'), ca.news.crls.join(''));
      const args = [
        'verify',
        '-x509_strict',
        '-crl_check_all',
        '-attime',
        String(at),
        '-CRLfile',
        'crl.pem',
        '-CAfile',
        'root.pem',
        '-untrusted',
        'chain.pem',
        'leaf.pem',
      ];
      expect(execFileSync('openssl', args, { cwd: directory, encoding: 'utf8' })).toBe('leaf.pem: OK\n');
      const leaf = new X509Certificate(certificates[0]);
      expect(leaf.subjectAltName).toBe(`URI:${ID}`);
      expect(leaf.ca).toBe(false);
      expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
      const text = execFileSync('openssl', ['x509', '-noout', '-text', '-in', 'leaf.pem'], {
        cwd: directory,
        encoding: 'utf8',
      });
      expect(text).toMatch(/Key Usage: critical\s+Digital Signature\s+X509v3 Extended/);
      expect(text).toMatch(/Subject Alternative Name: critical/);
    },
  );

  test('lives for a day and begins an hour before, for clocks that are behind', async () => {
    const ca = await open();
    const { notBefore, notAfter } = await ca.issue(request());
    expect(Math.abs(notAfter - clock.wallTime() - DAY)).toBeLessThan(1_000);
    expect(Math.abs(clock.wallTime() - notBefore - DAY / 24)).toBeLessThan(1_000);
  });

  test('lives for 90 days at most, whatever is asked for, and never longer than who signed it', async () => {
    const ca = await open();
    const long = await ca.issue(request({ lifetimeMs: 1_000 * DAY }));
    expect(long.notAfter - clock.wallTime()).toBeLessThanOrEqual(90 * DAY + 1_000);
    const short = await open({ intermediateMs: 10 * DAY });
    const { notAfter } = await short.issue(request({ lifetimeMs: 20 * DAY }));
    expect(notAfter - clock.wallTime()).toBeLessThanOrEqual(10 * DAY);
  });

  test('of another trust domain, or of none, is not given', async () => {
    const ca = await open();
    await expect(ca.issue(request({ spiffeId: 'spiffe://other/x' }))).rejects.toThrow(/trust domain/);
    await expect(ca.issue(request({ spiffeId: 'spiffe://cluster.local' }))).rejects.toThrow(/workload/);
    await expect(ca.issue(request({ spiffeId: 'https://cluster.local/x' }))).rejects.toThrow(/spiffe:/);
  });

  test('has a number of 128 bits that is on the disk when it is handed out, and still there after a restart', async () => {
    const directory = folder();
    const ca = await open({ directory });
    const issued = [await ca.issue(request()), await ca.issue(request())];
    expect(new Set(issued.map(({ serial }) => serial)).size).toBe(2);
    for (const { serial } of issued) expect(serial).toMatch(/^[0-9a-f]{32}$/);
    // A crash in the middle of a line.
    writeFileSync(join(directory, 'issued.jsonl'), '{"serial":"torn', { flag: 'a' });
    await ca.close();
    const again = await open({ directory });
    issued.push(await again.issue(request()));
    const listed: string[] = [];
    for await (const { serial } of again.issued()) listed.push(serial);
    expect(listed).toEqual(issued.map(({ serial }) => serial));
    expect(again.news.roots).toEqual(ca.news.roots);
  });

  test('of many that are asked for at once each is recorded', async () => {
    const ca = await open();
    await Promise.all(Array.from({ length: 60 }, () => ca.issue(request())));
    let count = 0;
    for await (const _ of ca.issued()) count++;
    expect(count).toBe(60);
  });
});

describe('an intermediate of files', () => {
  test('signs, and the root stays where it is', async () => {
    const other = await open();
    const directory = folder();
    const { state } = other;
    const [intermediate] = state.intermediates;
    const files = {
      certificate: join(directory, 'ca.pem'),
      key: join(directory, 'ca.key'),
      roots: join(directory, 'roots.pem'),
    };
    writeFileSync(files.certificate, intermediate?.certificate as string);
    writeFileSync(files.key, readFileSync(join(other.directory, 'keys', `${intermediate?.id}.key`)));
    writeFileSync(files.roots, other.news.roots.join(''));
    const ca = await open({ directory: join(directory, 'ca'), intermediate: files });
    const { certificates } = await ca.issue(request());
    expect(ca.news.roots).toEqual(other.news.roots);
    expect(
      new X509Certificate(certificates[0]).verify(new X509Certificate(intermediate?.certificate as string).publicKey),
    ).toBe(true);
    await expect(ca.rotateRoot()).rejects.toThrow(/not this authority’s own/);
  });

  test('with a key of another is refused', async () => {
    const directory = folder();
    const other = await open();
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const files = {
      certificate: join(directory, 'ca.pem'),
      key: join(directory, 'ca.key'),
      roots: join(directory, 'roots.pem'),
    };
    writeFileSync(files.certificate, other.state.intermediates[0]?.certificate as string);
    writeFileSync(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    writeFileSync(files.roots, other.news.roots.join(''));
    await expect(open({ directory: join(directory, 'ca'), intermediate: files })).rejects.toThrow(/is not the key of/);
    expect(createPublicKey(privateKey).type).toBe('public');
  });
});
