import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type SdsServer, serveSds } from '../../../src/controlplane/sds/serve.js';
import { addSecretDiscovery } from '../../../src/controlplane/sds/service.js';
import { systemClock } from '../../../src/core/clock.js';
import type { IdentitySource, IdentityState, Trust } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { SECRET } from '../../../src/core/resources.js';
import { RpcConnection } from '../../../src/identity/rpc/connection.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { type SdsIdentityOptions, sdsIdentity } from '../../../src/identity/sources/sds.js';
import { secretsOver } from '../../../src/xds/sds/secret-discovery.js';
import {
  type DeltaDiscoveryResponse,
  type DiscoveryResponse,
  loadCodec,
  secretMethods,
} from '../../../src/xds/wire/index.js';
import { Mailbox } from '../../support/mailbox.js';
import { testCa } from '../../support/pki.js';

const ca = testCa();
const partner = testCa({ trustDomain: 'partner.example' });
const state = (more: Partial<IdentityState> = {}): IdentityState => ({
  identity: ca.issue(),
  trust: ca.trust(),
  ...more,
});

let folder: string;
let server: SdsServer;
const source = memoryIdentity(state());
const closing: (() => void | Promise<void>)[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inmesh-sds-'));
  server = await serveSds({ socket: join(folder, 'sds.sock'), source, logger: silentLogger });
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await server.close();
  await rm(folder, { recursive: true });
});

function client(options: Partial<SdsIdentityOptions> = {}, target = `unix:${server.socket}`) {
  const connection = new RpcConnection({ target, clock: systemClock });
  const secrets = secretsOver(connection, { node: 'test', clock: systemClock, random: seededRandom(1) });
  const made: IdentitySource = sdsIdentity({ name: 'SDS', secrets, close: () => connection.close(), ...options });
  closing.push(() => made.close());
  const states = new Mailbox<IdentityState>();
  const errors = new Mailbox<string>();
  made.watch({ changed: (it) => states.put(it), failed: ({ message }) => errors.put(message) });
  return { states, errors };
}

describe('our SDS server', () => {
  test('hands an identity to our client, as it was, and each new one after it', async () => {
    const first = state({ crls: [ca.crl([])] });
    source.set(first);
    const { states } = client();
    const roots = { kind: 'roots', certificates: [ca.root] };
    expect(await states.take()).toMatchObject({
      identity: { spiffeId: first.identity?.spiffeId, certificates: first.identity?.certificates },
      trust: roots,
      crls: first.crls,
    });
    const second = state();
    source.set(second);
    // Two secrets, one after the other.
    for (let i = 0; i < 2; i++) {
      const told = await states.take();
      if (told.identity?.certificates[0] === second.identity?.certificates[0] && told.crls?.length === 0) break;
      expect(i).toBe(0);
    }
  });

  test('each of several trust domains speaks for its own names only', async () => {
    const bundles = new Map([
      ['cluster.local', [ca.root]],
      ['partner.example', [partner.root]],
    ]);
    const trust: Trust = { kind: 'spiffe', bundles };
    source.set(state({ trust }));
    for (const name of ['ROOTCA', 'ALL']) expect((await client({ trust: name }).states.take()).trust).toEqual(trust);
    const one = await client({ trust: 'spiffe://partner.example', certificate: false }).states.take();
    expect(one).toMatchObject({ identity: undefined, trust: { kind: 'roots', certificates: [partner.root] } });
  });

  test('the certificate has two names: default, and its SPIFFE ID', async () => {
    const now = state();
    source.set(now);
    const { states } = client({ certificate: now.identity?.spiffeId as string });
    expect((await states.take()).identity?.certificates).toEqual(now.identity?.certificates);
  });

  test('gives keys to nobody over a port, but trust to everybody', async () => {
    const port = new grpc.Server();
    const stop = addSecretDiscovery(port, { codec: await loadCodec(), source, keys: false, logger: silentLogger });
    const bound = await new Promise<number>((resolve, reject) =>
      port.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error === null ? resolve(at) : reject(error),
      ),
    );
    closing.push(stop, () => port.forceShutdown());
    const target = `127.0.0.1:${bound}`;
    expect((await client({ certificate: false }, target).states.take()).identity).toBeUndefined();
    const { states, errors } = client({}, target);
    expect(await errors.take()).toMatch(/Unix socket only.*gRPC status 7/);
    expect(states.size).toBe(0);
  });

  test('serves clients of the incremental protocol, and tells them only what has changed', async () => {
    const now = state();
    source.set(now);
    const codec = await loadCodec();
    const { delta } = secretMethods(codec);
    const connection = new grpc.Client(`unix:${server.socket}`, grpc.credentials.createInsecure());
    closing.push(() => connection.close());
    const call = connection.makeBidiStreamRequest(delta.path, delta.requestSerialize, delta.responseDeserialize);
    const responses = new Mailbox<DeltaDiscoveryResponse>();
    call.on('data', (it: DeltaDiscoveryResponse) => responses.put(it));
    call.on('error', () => {});
    closing.push(() => call.cancel());
    call.write({ type_url: SECRET, resource_names_subscribe: ['default', 'ROOTCA', 'unknown'] });
    const names = ({ resources = [] }: DeltaDiscoveryResponse) => resources.map(({ name }) => name);
    expect(names(await responses.take())).toEqual(['default', 'ROOTCA']);
    source.set(state({ trust: now.trust }));
    expect(names(await responses.take())).toEqual(['default']);
    call.write({ type_url: SECRET, resource_names_unsubscribe: ['default'], response_nonce: '2' });
    call.write({ type_url: SECRET, resource_names_subscribe: ['ROOTCA'] });
    expect(names(await responses.take())).toEqual(['ROOTCA']);
    source.set(state({ trust: partner.trust() }));
    expect(names(await responses.take())).toEqual(['ROOTCA']);
  });

  test('an ACK is answered by nothing, a NACK and an answer to an older response neither', async () => {
    const codec = await loadCodec();
    const { stream } = secretMethods(codec);
    const connection = new grpc.Client(`unix:${server.socket}`, grpc.credentials.createInsecure());
    closing.push(() => connection.close());
    const call = connection.makeBidiStreamRequest(stream.path, stream.requestSerialize, stream.responseDeserialize);
    const responses = new Mailbox<DiscoveryResponse>();
    call.on('data', (it: DiscoveryResponse) => responses.put(it));
    call.on('error', () => {});
    closing.push(() => call.cancel());
    const ask = (resource_names: string[], more: object = {}) =>
      call.write({ type_url: SECRET, resource_names, ...more });
    ask(['ROOTCA']);
    const { nonce, version_info } = await responses.take();
    ask(['ROOTCA'], { response_nonce: nonce, version_info });
    ask(['ROOTCA'], { response_nonce: nonce, error_detail: { code: 3, message: 'no' } });
    ask(['default'], { response_nonce: 'of another day' });
    ask(['ROOTCA', 'default'], { response_nonce: nonce, version_info });
    expect((await responses.take()).resources).toHaveLength(2);
    expect(responses.size).toBe(0);
  });

  test('is for its own user alone, and takes over a socket that nobody serves, no other', async () => {
    const { mode } = await stat(server.socket);
    expect(mode & 0o777).toBe(0o600);
    const again = { source, logger: silentLogger };
    await expect(serveSds({ ...again, socket: server.socket })).rejects.toThrow(/served by another process/);
    const file = join(folder, 'file');
    await writeFile(file, '');
    await expect(serveSds({ ...again, socket: file })).rejects.toThrow(/is no socket/);
    // What a process leaves that is killed: moved, its owner does not find it to remove it.
    const [bound, stale] = [join(folder, 'bound.sock'), join(folder, 'stale.sock')];
    const left = createServer().listen(bound);
    await new Promise((resolve) => left.once('listening', resolve));
    await rename(bound, stale);
    await new Promise((resolve) => left.close(resolve));
    const inode = (await stat(stale)).ino;
    const next = await serveSds({ ...again, socket: stale });
    expect((await stat(stale)).ino).not.toBe(inode);
    await next.close();
    await expect(stat(stale)).rejects.toThrow(/ENOENT/);
  });
});
