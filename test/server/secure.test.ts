import { createServer as createHttp, type Server } from 'node:http';
import { createSecureServer, createServer as createHttp2 } from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { meshMiddleware } from '../../src/server/express.js';
import type { MeshEvent, Meter } from '../../src/core/meter.js';
import type { Address } from '../../src/core/model/endpoint.js';
import type { ServerConfigWatcher } from '../../src/core/server-config.js';
import type { ServerParts } from '../../src/server/parts.js';
import type { SecureOptions } from '../../src/server/tls/secure-options.js';
import { type SecurableServer, secureServer } from '../../src/server/tls/secure.js';
import type { TestMesh } from '../../src/testing/index.js';
import { MUTUAL, SECURE_FACES, type SecureFace } from '../support/mtls.js';
import type { TestCa } from '../support/pki.js';
import { securedMesh } from './secured-mesh.js';
import { chain, listener } from './xds/support.js';

let ca: TestCa;
let mesh: TestMesh;
let parts: ServerParts;
let meter: Meter;
let events: readonly MeshEvent[];
let changed: ServerConfigWatcher['changed'];
let closing: (() => unknown)[];
let close: () => Promise<void>;

beforeEach(() => {
  ({ ca, mesh, parts, meter, events, changed, closing, close } = securedMesh());
});
afterEach(() => close());

async function start(server: SecurableServer, options: SecureOptions): Promise<Address> {
  const secured = secureServer(server, options, parts, meter);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    secured.close();
    (server as Partial<Server>).closeAllConnections?.();
    server.close();
  });
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

/** Tells who calls, by the middleware. */
const app = () =>
  express()
    .use(meshMiddleware())
    .use((_request, response) => void setImmediate(() => response.send(mesh.peer()?.spiffeId ?? 'nobody')));

const handler = async () => {
  const { meshHandler } = await import('../../src/server/http.js');
  return meshHandler(
    (_: never, response: { end(text: string): unknown }) =>
      setImmediate(() => response.end(mesh.peer()?.spiffeId ?? 'nobody')) as unknown,
  ) as never;
};

const KINDS: Readonly<Record<string, { make(): Promise<SecurableServer>; face: SecureFace }>> = {
  'node:http with Express': { make: async () => createHttp(app()), face: SECURE_FACES['node:http'] as SecureFace },
  'node:https': { make: async () => createHttps({}, await handler()), face: SECURE_FACES['node:http'] as SecureFace },
  'node:http2': { make: async () => createHttp2(await handler()), face: SECURE_FACES['node:http2'] as SecureFace },
  'node:http2, secure': {
    make: async () => createSecureServer({}, await handler()),
    face: SECURE_FACES['node:http2'] as SecureFace,
  },
};

describe.each(Object.entries(KINDS))('a server of the application’s own (%s)', (_, { make, face }) => {
  const web = () => ({ ca, identity: ca.issue({ name: 'web' }) });

  test('strict: it is reached over mutual TLS only, and its handler knows who calls', async () => {
    const address = await start(await make(), { mode: 'strict' });
    expect(await face.ask(address, web())).toEqual([200, 'spiffe://cluster.local/ns/default/sa/web']);
    await expect(face.ask(address, { ca, identity: undefined })).rejects.toThrow();
    await expect(face.ask(address, undefined)).rejects.toThrow();
    expect(events).toEqual([
      { kind: 'tls:refused', reason: 'no_certificate' },
      { kind: 'tls:refused', reason: 'plaintext' },
    ]);
  });

  test('without middleware a handler knows who calls, too, also later', async () => {
    const server = await make();
    const event = server.listeners('request')[0] as never;
    server.off('request', event);
    server.on('request', (_: unknown, response: { end(text?: string): unknown }) => {
      setImmediate(() => response.end(mesh.peer()?.spiffeId));
    });
    const address = await start(server, { mode: 'strict' });
    expect(await face.ask(address, web())).toEqual([200, 'spiffe://cluster.local/ns/default/sa/web']);
  });

  test('permissive: plain text is served, too', async () => {
    const address = await start(await make(), { mode: 'permissive' });
    expect(await face.ask(address, undefined)).toEqual([200, 'nobody']);
    expect((await face.ask(address, web()))[1]).toMatch(/web$/);
  });

  test('without a mode connections wait for what the configuration says of the service', async () => {
    const address = await start(await make(), {});
    const asked = face.ask(address, web());
    const plain = face.ask(address, undefined);
    plain.catch(() => {});
    const chains = [chain('mtls', { tls: true }, { tls: MUTUAL })];
    changed({
      listener: listener(address, { filterChains: chains, defaultFilterChain: undefined }),
      routes: new Map(),
    });
    expect((await asked)[1]).toMatch(/web$/);
    await expect(plain).rejects.toThrow();
  });
});
