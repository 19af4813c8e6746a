import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import {
  DEFAULT_PROVIDER,
  type IdentitySource,
  type IdentityState,
  type PeerIdentity,
} from '../../../src/core/identity.js';
import { silentLogger } from '../../../src/core/log.js';
import { systemRandom } from '../../../src/core/random.js';
import { RpcConnection } from '../../../src/identity/rpc/connection.js';
import { sdsIdentity } from '../../../src/identity/sources/sds.js';
import { tlsFactory } from '../../../src/identity/tls/factory.js';
import { workloadApiIdentity } from '../../../src/identity/workload-api/source.js';
import { JwtSvidError, spiffeWorkload } from '../../../src/spiffe.js';
import { secretsOver } from '../../../src/xds/sds/secret-discovery.js';
import { Mailbox } from '../../support/mailbox.js';
import { missing, Spire } from '../../support/spire.js';

/*
 * Our client of the SPIFFE Workload API and a real SPIRE, server and agent.
 */
if (missing !== undefined) console.warn(`interop with SPIRE is skipped: ${missing}`);

describe.skipIf(missing !== undefined)('a SPIRE agent as the source of identity', () => {
  let spire: Spire;
  const sources: IdentitySource[] = [];
  beforeAll(async () => {
    spire = await Spire.start();
    await spire.register({ path: '/ns/default/sa/web', hint: 'web', x509Ttl: 6 });
    await spire.register({ path: '/ns/default/sa/api', hint: 'api' });
  }, 120_000);
  afterAll(async () => {
    await Promise.all(sources.map((it) => it.close()));
    await spire?.stop();
  });

  function watched(hint: string) {
    const options = { endpoint: spire.endpoint, clock: systemClock, random: systemRandom, hint };
    const source = workloadApiIdentity(options);
    sources.push(source);
    const states = new Mailbox<IdentityState>();
    // "No identity issued" is what the agent says until it has heard of the entries: it is asked again.
    source.watch({ changed: (state) => states.put(state), failed() {} });
    return { source, states };
  }

  test('gives X.509-SVIDs with the bundle of their trust domain, and new ones before they expire', async () => {
    const { states } = watched('web');
    const first = await states.take();
    expect(first.identity?.spiffeId).toBe('spiffe://example.org/ns/default/sa/web');
    const roots = first.trust?.kind === 'spiffe' ? first.trust.bundles.get('example.org') : undefined;
    expect(roots?.join('').trim()).toBe((await spire.bundle()).trim());
    let next = await states.take();
    // What concerns others of this process's identities is told as well.
    while (next.identity?.certificates[0] === first.identity?.certificates[0]) next = await states.take();
    expect(next.identity?.spiffeId).toBe('spiffe://example.org/ns/default/sa/web');
    expect(next.identity?.notAfter).toBeGreaterThan(first.identity?.notAfter ?? Number.POSITIVE_INFINITY);
    expect(next.identity?.notBefore).toBeLessThan(first.identity?.notAfter ?? 0);
  }, 60_000);

  test('gives JWT-SVIDs, which verify by its bundles here and at the agent, for their audience alone', async () => {
    const spiffe = spiffeWorkload({ endpoint: spire.endpoint });
    const spiffeId = 'spiffe://example.org/ns/default/sa/api';
    try {
      const svid = await spiffe.jwtSvid({ audience: 'reports', hint: 'api' });
      expect(svid).toMatchObject({ spiffeId, audience: ['reports'], hint: 'api' });
      expect(await spiffe.jwtSvid({ audience: 'reports', hint: 'api' })).toBe(svid);
      expect(await spiffe.verifyJwtSvid(svid.token, 'reports')).toMatchObject({ spiffeId, expiresAt: svid.expiresAt });
      expect(await spiffe.validateJwtSvid(svid.token, 'reports')).toMatchObject({ spiffeId, claims: svid.claims });
      await expect(spiffe.verifyJwtSvid(svid.token, 'orders')).rejects.toThrow(/aud has none of "orders"/);
      await expect(spiffe.validateJwtSvid(svid.token, 'orders')).rejects.toThrow(JwtSvidError);
      const [head, , signature] = svid.token.split('.');
      const claims = Buffer.from(JSON.stringify({ ...svid.claims, sub: 'spiffe://example.org/admin' }));
      const forged = [head, claims.toString('base64url'), signature].join('.');
      await expect(spiffe.verifyJwtSvid(forged, 'reports')).rejects.toThrow(/by no key/);
    } finally {
      await spiffe.close();
    }
  }, 60_000);

  test('makes mutual TLS between two workloads of ours, each knowing the other', async () => {
    const [web, api] = [watched('web'), watched('api')];
    await Promise.all([web.states.take(), api.states.take()]);
    const env = { clock: systemClock, random: systemRandom, logger: silentLogger };
    const tlsOf = (source: IdentitySource) => tlsFactory({ providers: { get: () => source }, ...env });
    const [caller, callee] = [tlsOf(web.source), tlsOf(api.source)];
    const roots = { kind: 'provider', instance: DEFAULT_PROVIDER } as const;
    const inbound = callee.server({ identity: DEFAULT_PROVIDER, roots, requireClientCertificate: true });
    const seen = new Mailbox<PeerIdentity | Error | undefined>();
    const outcome = (done: (peer: PeerIdentity | Error | undefined) => void) => ({
      secured: (socket: TLSSocket, peer: PeerIdentity | undefined) => {
        done(peer);
        socket.on('error', () => {});
        socket.end();
        socket.resume();
      },
      failed: done,
      drain() {},
    });
    const server = createServer(
      (tcp) =>
        void inbound.secure(
          tcp,
          ['h2'],
          outcome((peer) => seen.put(peer)),
        ),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const tcp = connect((server.address() as AddressInfo).port, '127.0.0.1');
      await once(tcp, 'connect');
      const outbound = caller.client({ sni: undefined, identity: DEFAULT_PROVIDER, roots, sans: [] }, '127.0.0.1');
      const answered = await new Promise((resolve) => outbound.secure(tcp, ['h2'], outcome(resolve)));
      expect(answered).toMatchObject({ spiffeId: 'spiffe://example.org/ns/default/sa/api' });
      expect(await seen.take()).toMatchObject({ spiffeId: 'spiffe://example.org/ns/default/sa/web' });
    } finally {
      server.close();
      caller.close();
      callee.close();
    }
  }, 60_000);

  test('is an xDS server too: its secret discovery gives the same identity', async () => {
    const connection = new RpcConnection({ target: spire.endpoint.replace('unix://', 'unix:'), clock: systemClock });
    const secrets = secretsOver(connection, { node: 'test', clock: systemClock, random: systemRandom });
    const certificate = 'spiffe://example.org/ns/default/sa/api';
    const source = sdsIdentity({
      ...{ name: 'SPIRE', secrets, certificate, trust: 'spiffe://example.org' },
      close: () => connection.close(),
    });
    sources.push(source);
    const state = await new Promise<IdentityState>((resolve) => source.watch({ changed: resolve, failed() {} }));
    expect(state.identity?.spiffeId).toBe(certificate);
    // Each bundle for its own trust domain: Envoy's validator for SPIFFE.
    const roots = state.trust?.kind === 'spiffe' ? state.trust.bundles.get('example.org') : undefined;
    expect(roots?.join('').trim()).toBe((await spire.bundle()).trim());
  }, 60_000);
});
