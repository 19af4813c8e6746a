import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CaServer } from '../../../src/controlplane/ca/server.js';
import type { IdentityError, MeshError } from '../../../src/core/errors.js';
import { DEFAULT_PROVIDER, type IdentitySource, type IdentityState } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import { caIdentity } from '../../../src/identity/sources/ca.js';
import { memoryIdentity } from '../../../src/identity/sources/memory.js';
import { type MeshTls, tlsFactory } from '../../../src/identity/tls/factory.js';
import { secretsOver } from '../../../src/xds/sds/secret-discovery.js';
import { loadCodec } from '../../../src/xds/wire/index.js';
import { FakeClock } from '../../support/fake-clock.js';
import { Mailbox } from '../../support/mailbox.js';

/*
 * CA, certificates by join token, trust and revocation lists by secret discovery, mutual TLS between two workloads: whole, over real sockets. The workloads' clocks stand
 * still: what happens, happens because it was pushed, and not because some time went by.
 */
const id = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;
const roots = { kind: 'provider', instance: DEFAULT_PROVIDER } as const;
const listen = { host: '127.0.0.1', port: 0 };

describe('a CA that is served', () => {
  let folder: string;
  let clock: FakeClock;
  let ca: CaServer;
  let address: string;
  let server: Server;
  const sources: IdentitySource[] = [];
  const factories: MeshTls[] = [];
  /** Connections that our server has taken, and those it has not. */
  const taken = new Mailbox<TLSSocket>();
  const refused = new Mailbox<Error>();

  const env = () => ({ clock, random: seededRandom(1), logger: silentLogger });

  async function workload(name: string): Promise<{ source: IdentitySource; tls: MeshTls; states: IdentityState[] }> {
    const { token } = await ca.tokens.create(id(name));
    const source = caIdentity({
      ...{ address, spiffeId: id(name), token: async () => token, clock, random: seededRandom(1) },
      secrets: (connection) => secretsOver(connection, { node: name, clock, random: seededRandom(1) }),
    });
    sources.push(source);
    const states: IdentityState[] = [];
    // The lists come after the certificate.
    await new Promise<void>((resolve, reject) =>
      source.watch({
        changed(state) {
          states.push(state);
          if ((state.crls?.length ?? 0) > 0) resolve();
        },
        failed: reject,
      }),
    );
    const tls = tlsFactory({ providers: { get: () => source }, ...env() });
    factories.push(tls);
    return { source, tls, states };
  }

  /** A connection to our server; rejects where one's own side refuses it. */
  function call(tls: MeshTls): Promise<TLSSocket> {
    const client = tls.client({ sni: undefined, identity: DEFAULT_PROVIDER, roots, sans: [] }, '127.0.0.1');
    const tcp = connect((server.address() as AddressInfo).port, '127.0.0.1');
    return new Promise((resolve, reject) => {
      tcp.once('connect', () =>
        client.secure(tcp, ['http/1.1'], { secured: (socket) => resolve(socket), failed: reject, drain() {} }),
      );
    });
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'inmesh-ca-'));
    clock = new FakeClock(0, Date.now());
    ca = await CaServer.open({ directory: folder }, listen, { ...env(), codec: await loadCodec() });
    address = `127.0.0.1:${await ca.listen(listen)}`;
    const { tls } = await workload('server');
    const own = tls.server({ identity: DEFAULT_PROVIDER, roots, requireClientCertificate: true });
    server = createServer((tcp: Socket) => {
      own.secure(tcp, ['http/1.1'], {
        secured(socket) {
          socket.on('error', () => {});
          taken.put(socket);
        },
        failed: (error) => refused.put(error),
        drain() {},
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(async () => {
    server?.close();
    for (const tls of factories.splice(0)) tls.close();
    await Promise.all(sources.splice(0).map((it) => it.close()));
    await ca.close();
    await rm(folder, { recursive: true });
    expect(clock.pending).toBe(0);
  });

  test('gives certificates by join token, and believes who is of its trust domain', async () => {
    const { tls, source } = await workload('client');
    expect(source.current?.identity?.spiffeId).toBe(id('client'));
    expect(source.current?.trust).toEqual(ca.authority.trust);
    const socket = await call(tls);
    const peer = await taken.take();
    peer.write('hello');
    expect(String((await once(socket, 'data'))[0])).toBe('hello');
    socket.destroy();
  });

  test('tells those that it revokes that they are, and lets them join anew with another token', async () => {
    const { token } = await ca.tokens.create(id('gone'));
    let shown = token;
    const source = caIdentity({
      ...{ address, spiffeId: id('gone'), token: async () => shown, clock, random: seededRandom(1) },
      secrets: (connection) => secretsOver(connection, { node: 'gone', clock, random: seededRandom(1) }),
    });
    sources.push(source);
    const troubles = new Mailbox<MeshError>();
    const states = new Mailbox<IdentityState>();
    source.watch({ changed: (state) => states.put(state), failed: (error) => troubles.put(error) });
    while (((await states.take()).crls?.length ?? 0) === 0);
    await ca.authority.revoke(id('gone'));
    const first = (await troubles.take()) as IdentityError;
    expect(first.reason).toBe('revoked');
    expect(first.message).toMatch(/was revoked, and is not renewed .*inmesh ca token create/);
    // The spent token is of no use: it is said with what the CA answered.
    expect((await troubles.take()).message).toMatch(/was revoked.*used before/);
    shown = (await ca.tokens.create(id('gone'))).token;
    const before = source.current?.identity;
    await clock.advance(60_000);
    while (source.current?.identity === before) await states.take();
    expect(source.current?.identity?.spiffeId).toBe(id('gone'));
  });

  test('has those that it revokes cut off where they are connected, and refused where they come anew, with no time going by', async () => {
    const [good, bad] = [await workload('good'), await workload('bad')];
    const [kept, cut] = [await call(good.tls), await call(bad.tls)];
    // Its own side would not try: it is one that has kept the certificate and hears of nothing.
    const { identity, trust } = bad.source.current ?? {};
    const deaf = tlsFactory({ providers: { get: () => memoryIdentity({ identity, trust }) }, ...env() });
    factories.push(deaf);
    kept.on('error', () => {});
    cut.on('error', () => {});
    const at = [await taken.take(), await taken.take()];
    const closed = once(cut, 'close');
    await ca.authority.revoke(id('bad'));
    await closed;
    expect(at.filter((socket) => !socket.destroyed)).toHaveLength(1);
    // With TLS 1.3 a client is done before the server has looked at its certificate.
    const again = await call(deaf).catch(() => undefined);
    again?.on('error', () => {});
    expect((await refused.take()).message).toMatch(/revoked/);
    again?.destroy();
    for (const socket of at) if (!socket.destroyed) socket.write('still here');
    expect(String((await once(kept, 'data'))[0])).toBe('still here');
    kept.destroy();
  });
});
