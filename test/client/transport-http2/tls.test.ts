import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createSecureServer } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const openssl = ((): boolean => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
if (!openssl) console.warn('TLS tests are skipped: there is no openssl to make certificates with');

const CLIENT = fileURLToPath(new URL('./tls-client.ts', import.meta.url));
const listening = (server: Server): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

/** A self-signed certificate for reviews.test. */
function certificate(directory: string): { key: Buffer; cert: Buffer; file: string } {
  const file = join(directory, 'cert.pem');
  const key = join(directory, 'key.pem');
  const subject = ['-subj', '/CN=reviews.test', '-addext', 'subjectAltName=DNS:reviews.test'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', file], { stdio: 'ignore' });
  return { key: readFileSync(key), cert: readFileSync(file), file };
}

describe.skipIf(!openssl)('HTTP/2 over TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'inmesh-tls-'));
  const servers: Server[] = [];
  let trusted: string;
  let ports: { h2: number; http1: number };

  beforeAll(async () => {
    const { key, cert, file } = certificate(directory);
    trusted = file;
    const h2 = createSecureServer({ key, cert });
    h2.on('stream', (stream, headers) => {
      stream.respond({ ':status': 200 });
      stream.end(String(headers[':scheme']));
    });
    const http1 = createServer({ key, cert });
    servers.push(h2, http1);
    ports = { h2: await listening(h2), http1: await listening(http1) };
  });
  afterAll(() => {
    for (const server of servers) server.close();
    rmSync(directory, { recursive: true });
  });

  const results = async (targets: string[], ca: string): Promise<unknown[]> => {
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca };
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', CLIENT, ...targets], { env });
    return JSON.parse(stdout) as unknown[];
  };

  test('takes a server that is trusted, has the right name and chooses h2; no other', async () => {
    const targets = [`${ports.h2}/reviews.test`, `${ports.h2}/other.test`, `${ports.http1}/reviews.test`];
    const [good, a, wrongName, b, noH2, c] = await results(targets, trusted);
    expect(good).toEqual({ status: 200, body: 'https' });
    expect(wrongName).toMatchObject({
      code: 'CONNECT_FAILED',
      reached: 'no',
      message: expect.stringContaining('other.test'),
    });
    expect(noH2).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
    expect([a, b, c], 'connection permits held').toEqual([0, 0, 0]);
  });

  test('refuses a certificate that nobody trusts', async () => {
    const none = join(directory, 'none.pem');
    writeFileSync(none, '');
    const [untrusted] = await results([`${ports.h2}/reviews.test`], none);
    expect(untrusted).toMatchObject({ code: 'CONNECT_FAILED', reached: 'no' });
  });
});
