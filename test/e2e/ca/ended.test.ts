import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CaServer, type CaServerOptions } from '../../../src/controlplane/ca/server.js';
import { startControlPlane } from '../../../src/controlplane/index.js';
import type { IdentitySource, X509Identity } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { caIdentity } from '../../../src/identity/sources/ca.js';
import { FakeClock } from '../../support/fake-clock.js';

/*
 * A workload that was up while its CA was away until its certificate had ended. The time that they go by began some hours ago, so that what ends for them has ended for
 * OpenSSL as well.
 */
const ID = 'spiffe://cluster.local/ns/default/sa/web';
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let folder: string;
let clock: FakeClock;
let address: { host: string; port: number };
let ca: CaServer | undefined;
const sources: IdentitySource[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-ca-'));
  clock = new FakeClock(0, Date.now() - 20 * HOUR);
  address = { host: '127.0.0.1', port: 0 };
});
afterEach(async () => {
  await Promise.all(sources.splice(0).map((source) => source.close()));
  await stop();
  await rm(folder, { recursive: true, force: true });
});

const env = () => ({ clock, random: seededRandom(1), logger: silentLogger });

/** Over the same folder and on the same port each time. */
async function start(options: Partial<CaServerOptions> = {}): Promise<CaServer> {
  ca = await CaServer.open({ directory: join(folder, 'ca'), ...options }, address, env());
  address = { ...address, port: await ca.listen(address) };
  return ca;
}

async function stop(): Promise<void> {
  await ca?.close();
  ca = undefined;
}

/** A workload with a certificate of ten minutes, which it had for a token that is spent now. */
async function joined(server: CaServer) {
  const { token } = await server.tokens.create(ID);
  const failures: string[] = [];
  const source = caIdentity({
    ...{ address: `127.0.0.1:${address.port}`, spiffeId: ID, lifetimeMs: 10 * MINUTE, token: async () => token },
    ...{ clock, random: seededRandom(2) },
  });
  sources.push(source);
  source.watch({ changed: () => {}, failed: (error) => void failures.push(error.message) });
  const identity = (): X509Identity | undefined => source.current?.identity;
  await until(() => identity() !== undefined);
  return { identity, failures };
}

/** Real time for sockets and keys, and some of theirs. */
async function until(what: () => boolean, stepMs = 0): Promise<void> {
  for (let i = 0; i < 3_000 && !what(); i++) {
    await clock.advance(stepMs);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  expect(what()).toBe(true);
}

/** It is away for so long; what the workload tries meanwhile fails. */
async function away(ms: number): Promise<void> {
  await stop();
  await clock.advance(ms);
}

/** Eight attempts, with the certificate that has ended and with the token in turns. */
async function refused({ identity, failures }: Awaited<ReturnType<typeof joined>>): Promise<string> {
  const before = identity();
  const from = failures.length;
  await until(() => failures.length >= from + 8, 500);
  expect(identity()).toBe(before);
  return failures.slice(from).join('\n');
}

const records = (): Promise<string> => readFile(join(folder, 'ca', 'audit.jsonl'), 'utf8');

test('without the option a workload whose certificate ended while the CA was away needs a new token', async () => {
  const workload = await joined(await start());
  await away(HOUR);
  await start();
  expect(await refused(workload)).toMatch(/join token/);
});

describe('with renewalAfterExpiryMs', () => {
  const options = { renewalAfterExpiryMs: 2 * HOUR };

  test('it has a new certificate by the one that has ended, and the records say so', async () => {
    const { identity } = await joined(await start(options));
    const before = identity();
    await away(HOUR);
    expect(identity()).toBe(before);
    await start(options);
    await until(() => identity() !== before, 500);
    expect(identity()?.spiffeId).toBe(ID);
    expect(identity()?.notAfter).toBeGreaterThan(clock.wallTime());
    expect(await records()).toContain('"by":"mtls, after its end"');
  });

  test('not when it ended longer ago', async () => {
    const workload = await joined(await start(options));
    await away(3 * HOUR);
    await start(options);
    await refused(workload);
  });

  test('not when it was revoked while it was good: that is remembered beyond its end', async () => {
    const options = { renewalAfterExpiryMs: 24 * HOUR };
    const server = await start(options);
    const workload = await joined(server);
    await server.authority.revoke(ID);
    // Long enough for a new list.
    await away(14 * HOUR);
    await start(options);
    await refused(workload);
  });

  test('not when it was revoked after its end', async () => {
    const workload = await joined(await start(options));
    await away(HOUR);
    ca = await CaServer.open({ directory: join(folder, 'ca'), ...options }, address, env());
    expect(await ca.authority.revoke(ID)).toHaveLength(1);
    address.port = await ca.listen(address);
    await refused(workload);
  });

  test('not when it ended before the option was set: that it was revoked may have been forgotten', async () => {
    const workload = await joined(await start());
    await away(HOUR);
    await start(options);
    await refused(workload);
  });

  test('not at the port of the control plane: a certificate that has ended is good for nothing but the next one', async () => {
    const server = await start(options);
    const { identity } = await joined(server);
    await away(HOUR);
    const plane = await startControlPlane({
      ...{ listen: '127.0.0.1:0', tls: 'strict', clock },
      ca: { directory: join(folder, 'ca'), listen: '127.0.0.1:0', ...options },
    });
    const { certificates, privateKey } = identity() as X509Identity;
    const shown = { key: privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: certificates.join('') };
    const answers = (port: number): Promise<boolean> =>
      new Promise((resolve) => {
        const session = connectHttp2(`https://127.0.0.1:${port}`, { ...shown, rejectUnauthorized: false });
        session.on('error', () => {});
        session.once('remoteSettings', () => {
          resolve(true);
          session.destroy();
        });
        session.once('close', () => resolve(false));
      });
    expect(await answers(plane.port)).toBe(false);
    expect(await answers(plane.ca?.port as number)).toBe(true);
    await plane.close();
  });
});
