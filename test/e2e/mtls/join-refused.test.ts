import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ControlPlane, type ControlPlaneCa, startControlPlane } from '../../../src/controlplane/control-plane.js';
import { IdentityError } from '../../../src/core/errors.js';
import { type Mesh, meshClient, type MeshOptions } from '../../../src/index.js';
import { askReviews, type Services, services } from './pair.js';

/*
 * A workload whose join token was used before, from its start to the moment when it has another: nobody waits for what cannot come, and everybody is told what to do.
 */
const id = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;
const WHY =
  /refused: the join token is not good, was used before, or has ended; .*inmesh ca token create spiffe:.*shop/;

let folder: string;
let both: Services;
let plane: ControlPlane;
let ca: ControlPlaneCa;
let mesh: Mesh | undefined;
let spent: string;
const logged: { level: string; message: string; fields: Record<string, unknown> | undefined }[] = [];
const log = (level: string) => (message: string, fields?: Record<string, unknown>) =>
  void logged.push({ level, message, fields });
const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'inmesh-join-'));
  logged.length = 0;
  both = await services();
  writeFileSync(join(folder, 'mesh.yaml'), both.yaml);
  plane = await startControlPlane({
    ...{ config: join(folder, 'mesh.yaml'), listen: '127.0.0.1:0', tls: 'strict' },
    ca: { directory: join(folder, 'ca'), listen: '127.0.0.1:0' },
  });
  ca = plane.ca as ControlPlaneCa;
  const { token } = await ca.tokens.create(id('shop'));
  const first = meshClient({ ...of({ joinToken: token }), service: 'shop' });
  await first.ready();
  await first.close();
  spent = token;
});
afterEach(async () => {
  await mesh?.close();
  mesh = undefined;
  await both.close();
  await plane.close();
  rmSync(folder, { recursive: true });
});

const of = (more: object): Pick<MeshOptions, 'xds' | 'identity' | 'logger'> => ({
  xds: `127.0.0.1:${plane.port}`,
  identity: { ca: { address: `127.0.0.1:${ca.port}`, ...more } },
  logger,
});

test('what waits for an identity that is refused fails with the reason of the CA and the remedy, and goes on once there is a good token', async () => {
  await both.serve({ xds: `127.0.0.1:${plane.port}` }, (name) => ({
    ca: { address: `127.0.0.1:${ca.port}`, joinTokenFile: tokenFile(name) },
  }));
  const file = join(folder, 'token');
  writeFileSync(file, spent);
  mesh = meshClient({ ...of({ joinTokenFile: file }), service: 'shop' });
  const ready = await mesh.ready().catch((error: unknown) => error);
  expect(ready).toBeInstanceOf(IdentityError);
  expect((ready as Error).message).toMatch(WHY);
  const called = await mesh.fetch('http://reviews/').catch((error: Error) => error.cause);
  expect(called).toMatchObject({ code: 'IDENTITY_UNAVAILABLE', reached: 'no' });
  expect((called as Error).message).toMatch(WHY);
  expect(mesh.identity()).toBeUndefined();
  const said = logged.filter(({ message }) => message.includes('identity'));
  expect(said).toEqual([
    {
      level: 'error',
      message: 'there is no identity: it is refused',
      fields: { source: `ca 127.0.0.1:${ca.port}`, problem: expect.stringMatching(WHY) },
    },
  ]);
  writeFileSync(file, (await ca.tokens.create(id('shop'))).token);
  await expect.poll(() => mesh?.identity()?.spiffeId, { timeout: 20_000 }).toBe(id('shop'));
  await mesh.ready();
  // The first answer of the control plane is what ends what was said of it.
  const asks = (): Promise<string | undefined> =>
    askReviews(mesh as Mesh).then(
      ({ spiffeId }) => spiffeId,
      () => undefined,
    );
  await expect.poll(asks, { timeout: 10_000 }).toBe(id('shop'));
  expect(mesh.identity()?.problem).toBeUndefined();

  function tokenFile(name: string): string {
    writeFileSync(join(folder, name), tokens.get(name) ?? '');
    return join(folder, name);
  }
}, 40_000);

const tokens = new Map<string, string>();
beforeEach(async () => {
  for (const name of ['reviews', 'ratings']) tokens.set(name, (await ca.tokens.create(id(name))).token);
});

test('mutual TLS of an embedded configuration fails as fast, with the same reason', async () => {
  mesh = meshClient({
    ...{ config: join(folder, 'mesh.yaml'), service: 'shop', logger },
    identity: { ca: { address: `127.0.0.1:${ca.port}`, joinToken: spent } },
  });
  await expect(mesh.ready()).rejects.toThrow(WHY);
  await both.serve({ xds: `127.0.0.1:${plane.port}` }, (name) => ({
    ca: { address: `127.0.0.1:${ca.port}`, joinToken: tokens.get(name) as string },
  }));
  const called = await mesh.fetch('http://reviews/').catch((error: Error) => error.cause);
  expect(called).toMatchObject({ code: 'IDENTITY_UNAVAILABLE', reached: 'no', message: expect.stringMatching(WHY) });
}, 40_000);

test('a workload that is revoked says so once, in its log, in what it knows of itself and in its dump; and what it was cut off from is said once', async () => {
  const shop = (await ca.tokens.create(id('shop'))).token;
  await both.serve({ xds: `127.0.0.1:${plane.port}` }, (name) => ({
    ca: { address: `127.0.0.1:${ca.port}`, joinToken: tokens.get(name) as string },
  }));
  const own = meshClient({ ...of({ joinToken: shop }), service: 'shop' });
  mesh = own;
  await own.ready();
  expect((await askReviews(own)).spiffeId).toBe(id('shop'));
  logged.length = 0;
  await ca.authority.revoke(id('shop'));
  await expect.poll(() => own.identity()?.problem, { timeout: 10_000 }).toMatch(/was revoked, and is not renewed/);
  expect((await own.configDump()).identity).toMatchObject({
    spiffeId: id('shop'),
    problem: expect.stringMatching(/inmesh ca token create/),
  });
  // Not that a connection was lost, of which nobody could say whether the request was served.
  for (const once of [1, 2]) {
    const cause = await own.fetch(`http://reviews/${once}`, { method: 'POST' }).catch((error: Error) => error.cause);
    expect(cause).toMatchObject({ code: 'IDENTITY_UNAVAILABLE', reached: 'no', reason: 'revoked' });
    expect((cause as Error).message).toMatch(/was revoked, and is not renewed.*inmesh ca token create/);
  }
  // Attempts after the first one are for those who look for them.
  const outage = 'the control plane cannot be reached; what is cached stays in use';
  const said = (level: string, message: string): number =>
    logged.filter((line) => line.level === level && line.message === message).length;
  await expect.poll(() => said('debug', outage), { timeout: 20_000 }).toBeGreaterThan(1);
  expect(said('warn', outage)).toBe(1);
  expect(said('warn', 'configuration is not fresh')).toBe(1);
  expect(logged.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    'the certificate of this workload was revoked: others refuse it, and it is not renewed',
  ]);
}, 60_000);
