import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as httpServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CertificateAuthority } from '../../../src/controlplane/ca/authority.js';
import { authorityIdentity } from '../../../src/controlplane/ca/authority-identity.js';
import { type SdsServer, serveSds } from '../../../src/controlplane/sds/serve.js';
import { systemClock } from '../../../src/core/clock.js';
import { DEFAULT_PROVIDER, type IdentitySource, type PeerIdentity } from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemRandom } from '../../../src/core/random.js';
import { type MeshTls, tlsFactory } from '../../../src/identity/tls/factory.js';
import { envoyBinary } from '../envoy/envoy.js';
import { SdsEnvoy } from './envoy.js';

/*
 * A real Envoy with certificates of our CA, by our SDS: as the server of our client and the client of our server, while its certificate is rotated.
 */
if (envoyBinary === undefined)
  console.warn('secret discovery with Envoy is skipped: run `npm test`, or name a binary in INMESH_ENVOY');

const env = { clock: systemClock, random: systemRandom, logger: silentLogger };
const id = (name: string): string => `spiffe://cluster.local/ns/default/sa/${name}`;
const roots = { kind: 'provider', instance: DEFAULT_PROVIDER } as const;

describe.skipIf(envoyBinary === undefined)('Envoy with our secret discovery', () => {
  let folder: string;
  let authority: CertificateAuthority;
  let sds: SdsServer;
  let envoy: SdsEnvoy;
  let server: Server;
  const sources: IdentitySource[] = [];
  const factories: MeshTls[] = [];
  /** Who called our server. */
  const callers: (PeerIdentity | undefined)[] = [];
  const refusals: string[] = [];

  /** Lives for a minute and is renewed at half of it, unless it is said otherwise. */
  function identity(name: string, lifetimeMs = 60_000): IdentitySource {
    const source = authorityIdentity(authority, { spiffeId: id(name), by: 'test', lifetimeMs, ...env });
    sources.push(source);
    return source;
  }

  function tls(source: IdentitySource): MeshTls {
    const factory = tlsFactory({ providers: { get: () => source }, ...env });
    factories.push(factory);
    return factory;
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'inmesh-sds-'));
    authority = await CertificateAuthority.open({
      directory: join(folder, 'ca'),
      clock: systemClock,
      logger: silentLogger,
    });
    const own = tls(identity('ours')).server({ identity: DEFAULT_PROVIDER, roots, requireClientCertificate: true });
    const app = httpServer((_, response) => void response.end('ours'));
    server = createServer((tcp: Socket) => {
      own.secure(tcp, ['http/1.1'], {
        secured(socket, peer) {
          callers.push(peer);
          app.emit('connection', socket);
        },
        failed: (error) => refusals.push(error.message),
        drain() {},
      });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    sds = await serveSds({ socket: join(folder, 'sds.sock'), source: identity('envoy', 3_000), logger: silentLogger });
    envoy = await SdsEnvoy.start(envoyBinary as string, sds.socket, (server.address() as AddressInfo).port);
  }, 60_000);

  afterAll(async () => {
    await envoy?.stop();
    await sds?.close();
    for (const factory of factories) factory.close();
    await Promise.all(sources.map((it) => it.close()));
    server?.close();
    await authority?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** One request over a connection of its own: its answer, and who the server was. */
  function ask(client: MeshTls): Promise<{ readonly body: string; readonly peer: PeerIdentity | undefined }> {
    const secure = client.client({ sni: 'envoy', identity: DEFAULT_PROVIDER, roots, sans: [] }, '127.0.0.1');
    return new Promise((resolve, reject) => {
      const tcp = connect(envoy.inbound, '127.0.0.1');
      tcp.once('error', reject);
      tcp.once('connect', () =>
        secure.secure(tcp, ['http/1.1'], {
          secured(socket, peer) {
            const request = httpRequest(
              { createConnection: () => socket, headers: { connection: 'close' } },
              (response) => {
                let body = '';
                response.on('data', (chunk) => {
                  body += chunk;
                });
                response.on('end', () => resolve({ body, peer }));
              },
            );
            request.on('error', reject);
            request.end();
          },
          failed: reject,
          drain() {},
        }),
      );
    });
  }

  test('serves our client and calls our server under an identity of our CA, rotated while it does, without one failure', async () => {
    const client = tls(identity('client'));
    const serials = new Set<string>();
    const called = (): Set<string | undefined> => new Set(callers.map((it) => it?.serialNumber));
    let requests = 0;
    for (; requests < 5_000 && (serials.size < 4 || called().size < 4); requests++) {
      const { body, peer } = await ask(client);
      expect([body, peer?.spiffeId]).toEqual(['envoy', id('envoy')]);
      serials.add(peer?.serialNumber ?? '');
      const through = await fetch(`http://127.0.0.1:${envoy.outbound}/`);
      expect([through.status, await through.text()]).toEqual([200, 'ours']);
    }
    expect(new Set(callers.map((it) => it?.spiffeId))).toEqual(new Set([id('envoy')]));
    expect(Math.min(serials.size, called().size)).toBeGreaterThanOrEqual(4);
    expect(refusals).toEqual([]);
    expect(await envoy.stats('ssl.fail_verify')).not.toMatch(/: [1-9]/);
  }, 120_000);

  test('refuses who is revoked, as soon as the list has come to it', async () => {
    const source = identity('revoked', 3_600_000);
    const client = tls(source);
    expect((await ask(client)).body).toBe('envoy');
    const held = source.current;
    // Its owner is given another at once: this one goes on with what was revoked.
    const frozen: IdentitySource = {
      name: 'frozen',
      current: held,
      watch(watcher) {
        if (held !== undefined) watcher.changed(held);
        return () => {};
      },
      close: async () => {},
    };
    const kept = tls(frozen);
    await authority.revoke(id('revoked'));
    await expect
      .poll(
        () =>
          ask(kept).then(
            ({ body }) => body,
            () => 'refused',
          ),
        { timeout: 10_000 },
      )
      .toBe('refused');
    expect((await ask(tls(identity('other')))).body).toBe('envoy');
  }, 60_000);
});
