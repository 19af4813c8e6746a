import { afterEach, describe, expect, test } from 'vitest';
import { peerOf } from '../../../src/core/identity.js';
import type { DownstreamTls, UpstreamTls } from '../../../src/core/model/tls.js';
import { TlsPeerError } from '../../../src/core/tls.js';
import { BAD_CERTIFICATES, badCertificate, type Issued, REASONS, testCa } from '../../support/pki.js';
import {
  dialTls,
  echoes,
  exactly,
  MUTUAL,
  STRICT,
  stateOf,
  TlsEcho,
  type Workload,
  workload,
} from '../../support/tls-peers.js';

const ca = testCa();
const cleanUp: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of cleanUp.splice(0).reverse()) await end();
});

function member(identity: Issued | undefined, trusts = ca): Workload {
  const made = workload(stateOf(identity, trusts));
  cleanUp.push(() => made.tls.close());
  return made;
}

async function serving(config: DownstreamTls, identity = ca.issue({ name: 'reviews' }), alpn: string[] = []) {
  const server = await TlsEcho.start(member(identity).tls.server(config), alpn);
  cleanUp.push(() => server.close());
  return server;
}

async function dial(port: number, config: UpstreamTls, identity: Issued | undefined, alpn: string[] = []) {
  const end = await dialTls(port, member(identity).tls.client(config, 'reviews'), alpn);
  cleanUp.push(() => end.socket?.destroy());
  return end;
}

describe('mutual TLS', () => {
  test('both sides know who the other one is', async () => {
    const server = await serving(STRICT);
    const client = await dial(server.port, exactly('spiffe://cluster.local/ns/default/sa/reviews'), ca.issue());
    expect(client.error).toBeUndefined();
    expect(await echoes(client.socket as never)).toBe(true);
    const served = await server.last;
    expect(client.peer?.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/reviews');
    expect(served.peer?.spiffeId).toBe('spiffe://cluster.local/ns/default/sa/web');
    expect(served.peer?.trustDomain).toBe('cluster.local');
    expect(peerOf(served.socket)).toBe(served.peer);
    expect(served.socket?.authorized).toBe(true);
    expect(served.peer?.subject).toBe('CN=web');
  });

  test('the protocol is agreed on by ALPN, the server’s preference first', async () => {
    const server = await serving(STRICT, undefined, ['h2', 'http/1.1']);
    const client = await dial(server.port, MUTUAL, ca.issue(), ['http/1.1', 'h2']);
    expect([client.socket?.alpnProtocol, (await server.last).socket?.alpnProtocol]).toEqual(['h2', 'h2']);
  });

  test('a server that asks for a certificate and gets none knows why it hung up', async () => {
    const server = await serving(STRICT);
    const client = await dial(server.port, { ...MUTUAL, identity: undefined }, undefined);
    if (client.socket !== undefined) expect(await echoes(client.socket)).toBe(false);
    expect((await server.last).error).toMatchObject({ name: 'TlsPeerError', reason: 'no_certificate' });
  });

  test('a server that asks for a certificate and needs none serves who has none', async () => {
    const server = await serving({ ...STRICT, requireClientCertificate: false });
    const client = await dial(server.port, { ...MUTUAL, identity: undefined }, undefined);
    expect(await echoes(client.socket as never)).toBe(true);
    expect((await server.last).peer).toBeUndefined();
  });

  test('but not who has a bad one', async () => {
    const server = await serving({ ...STRICT, requireClientCertificate: false });
    const client = await dial(server.port, MUTUAL, badCertificate('untrusted', ca));
    if (client.socket !== undefined) expect(await echoes(client.socket)).toBe(false);
    expect((await server.last).error).toMatchObject({ reason: 'untrusted' });
  });
});

describe('a certificate that will not do', () => {
  test.each(BAD_CERTIFICATES.map((kind) => [kind, REASONS[kind]]))(
    '%s: a client refuses the server, for "%s"',
    async (kind, reason) => {
      const server = await serving({ ...STRICT, requireClientCertificate: false }, badCertificate(kind, ca));
      const client = await dial(
        server.port,
        { ...exactly('spiffe://cluster.local/ns/default/sa/web'), identity: undefined },
        undefined,
      );
      expect(client.error).toBeInstanceOf(TlsPeerError);
      expect(client.error?.reason).toBe(reason);
    },
  );

  test.each(BAD_CERTIFICATES.filter((kind) => kind !== 'wrong_san').map((kind) => [kind, REASONS[kind]]))(
    '%s: a server refuses the client, for "%s"',
    async (kind, reason) => {
      const server = await serving(STRICT);
      const client = await dial(server.port, MUTUAL, badCertificate(kind, ca));
      if (client.socket !== undefined) expect(await echoes(client.socket)).toBe(false);
      const { error } = await server.last;
      expect(error).toBeInstanceOf(TlsPeerError);
      expect(error?.reason).toBe(reason);
    },
  );
});
