import { createServer as createHttpServer, get as httpGet } from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import * as grpc from '@grpc/grpc-js';
import { ambientPeer } from '../../src/core/ambient.js';
import { type CertificateProviders, DEFAULT_PROVIDER, type IdentityState } from '../../src/core/identity.js';
import { type Address, addressKey } from '../../src/core/model/endpoint.js';
import type { DownstreamTls } from '../../src/core/model/tls.js';
import { type MemoryIdentity, memoryIdentity } from '../../src/identity/sources/memory.js';
import { XdsServer } from '../../src/server/xds/grpc-server.js';
import type { ServableServer } from '../../src/server/xds/index.js';
import type { Issued, TestCa } from './pki.js';
import { grpcMethod } from './server-faces.js';

/** What the mesh's own configuration asks of a server that takes part in mTLS. */
export const MUTUAL: DownstreamTls = {
  identity: DEFAULT_PROVIDER,
  roots: { kind: 'provider', instance: DEFAULT_PROVIDER },
  requireClientCertificate: true,
};

/** A source under the mesh's own name. */
export function providersOf(source: MemoryIdentity): CertificateProviders {
  return { get: (name) => (name === DEFAULT_PROVIDER ? source : undefined) };
}

export const stateOf = (ca: TestCa, name: string, more: Partial<IdentityState> = {}): IdentityState => ({
  identity: ca.issue({ name }),
  trust: ca.trust(),
  ...more,
});

export const identityOf = (ca: TestCa, name: string): MemoryIdentity => memoryIdentity(stateOf(ca, name));

/** Who a client of the tests is, and whom it believes; `identity` undefined: it shows no certificate. */
export interface TestClient {
  readonly ca: TestCa;
  readonly identity: Issued | undefined;
}

/** An answer: its status, over HTTP or gRPC's, and the SPIFFE ID that the handler saw, or `nobody`. */
export type Answer = readonly [status: number, text: string];

export interface SecureFace {
  server(): ServableServer;
  /** On a connection of its own. Rejects when there is none. `client` undefined: in plain text. */
  ask(address: Address, client: TestClient | undefined): Promise<Answer>;
}

const caller = (): string => ambientPeer()?.spiffeId ?? 'nobody';

const tlsOf = ({ ca, identity }: TestClient) => ({
  ca: ca.root,
  checkServerIdentity: () => undefined,
  ...(identity !== undefined && { cert: identity.chainPem, key: identity.keyPem }),
});

const http1: SecureFace = {
  server: () => createHttpServer((_, response) => setImmediate(() => response.end(caller()))),
  ask: (address, client) =>
    new Promise((resolve, reject) => {
      const options = { ...address, agent: false as const };
      const request = client === undefined ? httpGet(options) : https.get({ ...options, ...tlsOf(client) });
      request.on('error', reject);
      request.on('response', async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve([Number(response.statusCode), text]);
      });
    }),
};

const overHttp2: SecureFace = {
  server: () => http2.createServer((_, response) => setImmediate(() => response.end(caller()))),
  ask: (address, client) =>
    new Promise((resolve, reject) => {
      const session =
        client === undefined
          ? http2.connect(`http://${addressKey(address)}`)
          : http2.connect(`https://${addressKey(address)}`, tlsOf(client));
      const stream = session.request({ ':path': '/' });
      for (const one of [session, stream]) one.on('error', reject);
      session.on('close', () => reject(new Error('closed')));
      let status = 0;
      let text = '';
      stream.on('response', (head) => {
        status = Number(head[':status']);
      });
      stream.on('data', (chunk) => {
        text += chunk;
      });
      stream.on('end', () => {
        if (status === 0) reject(new Error('no answer'));
        else resolve([status, text]);
        session.close();
      });
    }),
};

const overGrpc: SecureFace = {
  server: () => {
    const server = new XdsServer();
    server.addService(
      { get: grpcMethod('/test/Get') },
      { get: (_: unknown, done: grpc.sendUnaryData<Buffer>) => setImmediate(() => done(null, Buffer.from(caller()))) },
    );
    return server;
  },
  ask: (address, client) => askGrpc(address, client),
};

/** `/test/Get`. */
export function askGrpc(address: Address, client: TestClient | undefined): Promise<Answer> {
  const credentials =
    client === undefined
      ? grpc.credentials.createInsecure()
      : grpc.credentials.createSsl(
          Buffer.from(client.ca.root),
          client.identity === undefined ? null : Buffer.from(client.identity.keyPem),
          client.identity === undefined ? null : Buffer.from(client.identity.chainPem),
          { checkServerIdentity: () => undefined },
        );
  const stub = new grpc.Client(addressKey(address), credentials, {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
  });
  return new Promise((resolve, reject) => {
    stub.makeUnaryRequest(
      '/test/Get',
      (value: Buffer) => value,
      String,
      Buffer.alloc(0),
      (error, text) => {
        stub.close();
        if (error === null) resolve([0, text as string]);
        else if (error.code === grpc.status.UNAVAILABLE) reject(error);
        else resolve([error.code, error.details]);
      },
    );
  });
}

export const SECURE_FACES: Readonly<Record<string, SecureFace>> = {
  'node:http': http1,
  'node:http2': overHttp2,
  'grpc-js': overGrpc,
};
