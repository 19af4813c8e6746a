import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { BAD_CERTIFICATES, badCertificate, type Issued, REASONS, testCa } from '../../support/pki.js';
import { type SecureHttp, secureHttp } from '../../support/tls-http.js';
import { dialTls, exactly, STRICT, stateOf, workload } from '../../support/tls-peers.js';
import { Certificates, type Foreign, grpcio, grpcJs, has, NGINX, nginx, openssl } from './foreign.js';

/*
 * Who shakes hands with whom, as a table: peers that we did not write, both ways, TLS 1.2 and 1.3. Each has a good certificate once, and each bad one once. What
 * is bad by SPIFFE's rules alone is bad for us and good for them, so that they are the ones who show it.
 */
const WEB = 'spiffe://cluster.local/ns/default/sa/web';
const ca = testCa();
const issued = new Map<string, Issued>([['good', ca.issue({ name: 'web' })]]);
for (const kind of BAD_CERTIFICATES) issued.set(kind, badCertificate(kind, ca, { name: 'web' }));

const folder = mkdtempSync(join(tmpdir(), 'inmesh-handshakes-'));
const files = new Certificates(folder, ca.root, issued);
const PEERS: readonly [string, boolean, () => Promise<Foreign | undefined>][] = [
  ['openssl', has('openssl', 'version'), async () => openssl(files)],
  ['nginx', has(NGINX, '-v'), () => nginx(files)],
  ['grpc-js', true, async () => grpcJs(files)],
  ['grpcio', true, () => grpcio(files)],
];
afterAll(() => rmSync(folder, { recursive: true }));

/** A server of ours that says hello over HTTP/1.1, and echoes over gRPC. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers['content-type'] !== 'application/grpc') {
    response.end('hello');
    return;
  }
  response.setHeader('content-type', 'application/grpc');
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    response.write(Buffer.concat(chunks));
    response.addTrailers({ 'grpc-status': '0' });
    response.end();
  });
}

/** What a server of theirs says to a request of ours. */
function ask(socket: TLSSocket, alpn: string): Promise<boolean> {
  if (alpn === 'h2') {
    const session = connectHttp2('https://web', { createConnection: () => socket });
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Echo/Echo',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.end(Buffer.from([0, 0, 0, 0, 5, ...Buffer.from('hello')]));
    return new Promise((resolve) => {
      stream.on('trailers', (trailers) => resolve(trailers['grpc-status'] === '0'));
      for (const part of [session, stream]) part.on('error', () => resolve(false));
      stream.resume();
    }).finally(() => session.destroy()) as Promise<boolean>;
  }
  let text = '';
  socket.write('GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n');
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(/^HTTP\/1\.[01] 200 /.test(text)));
  });
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('%s', (version) => {
  const before = tls.DEFAULT_MAX_VERSION;
  beforeAll(() => {
    tls.DEFAULT_MAX_VERSION = version;
  });
  afterAll(() => {
    tls.DEFAULT_MAX_VERSION = before;
  });

  describe.each(PEERS)('%s', (_, there, start) => {
    let peer: Foreign | undefined;
    /** For one test each: clients that are refused come again, and may do so when the next test has begun. */
    let ours: SecureHttp;
    beforeAll(async () => {
      if (there) peer = await start();
    });
    beforeEach(async () => {
      ours = await secureHttp(workload(stateOf(ca.issue({ name: 'web' }), ca)).tls.server(STRICT), answer);
    });
    afterEach(() => ours.close());
    afterAll(() => peer?.close());

    test('as a server, with a good certificate: it is called', async (context) => {
      if (peer === undefined) return context.skip();
      const client = workload(stateOf(ca.issue(), ca)).tls.client(exactly(WEB), 'web');
      const { socket, error, peer: identity } = await dialTls(await peer.serve('good'), client, peer.alpn);
      expect(error).toBeUndefined();
      expect([socket?.getProtocol(), identity?.spiffeId]).toEqual([version, WEB]);
      expect(await ask(socket as TLSSocket, peer.alpn[0] as string)).toBe(true);
    });

    test.for(BAD_CERTIFICATES.map((kind) => [kind, REASONS[kind]] as const))(
      'as a server, %s: it is refused, for "%s"',
      async ([kind, reason], context) => {
        const client = workload(stateOf(ca.issue(), ca)).tls.client(exactly(WEB), 'web');
        if (peer === undefined) return context.skip();
        const { error } = await dialTls(await peer.serve(kind), client, peer.alpn);
        expect(error).toMatchObject({ name: 'TlsPeerError', reason });
      },
    );

    test('as a client, with a good certificate: it is served', async (context) => {
      if (peer === undefined) return context.skip();
      expect(await peer.call(ours.port, 'good')).toBe(true);
      expect(ours.refused).toEqual([]);
    });

    test.for(BAD_CERTIFICATES.filter((kind) => kind !== 'wrong_san').map((kind) => [kind, REASONS[kind]] as const))(
      'as a client, %s: it is refused, for "%s"',
      async ([kind, reason], context) => {
        if (peer === undefined) return context.skip();
        expect(await peer.call(ours.port, kind)).toBe(false);
        // Who is refused under TLS 1.3 may know it before the server's own account is written.
        await vi.waitFor(() => expect(ours.refused).not.toEqual([]));
        for (const refusal of ours.refused) expect(refusal).toMatchObject({ name: 'TlsPeerError', reason });
      },
    );
  });
});
