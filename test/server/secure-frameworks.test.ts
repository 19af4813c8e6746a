import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createServer as createHttp, type Server } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2, type Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import fastify from 'fastify';
import { Hono } from 'hono';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import { systemRandom } from '../../src/core/random.js';
import type { MemoryIdentity } from '../../src/identity/sources/memory.js';
import { tlsFactory } from '../../src/identity/tls/factory.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshMiddleware } from '../../src/server/hono.js';
import type { ServerParts } from '../../src/server/parts.js';
import { secureServer, type SecurableServer } from '../../src/server/tls/secure.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { FakeClock } from '../support/fake-clock.js';
import { identityOf, providersOf, SECURE_FACES, type SecureFace, stateOf } from '../support/mtls.js';
import { testCa, type TestCa } from '../support/pki.js';

let ca: TestCa;
let identity: MemoryIdentity;
let mesh: TestMesh;
let parts: ServerParts;
let clock: FakeClock;
const closing: (() => unknown)[] = [];

beforeEach(() => {
  ca = testCa();
  identity = identityOf(ca, 'reviews');
  mesh = testMesh({ services: {} });
  clock = new FakeClock(1_000, Date.now());
  // The first moment of those at which connections may be told to go.
  const env = { clock, random: { ...systemRandom, next: () => 0 }, logger: silentLogger };
  const tls = tlsFactory({ ...env, providers: providersOf(identity) });
  parts = { ...mesh.servers, tls, clock: systemClock };
  closing.push(() => tls.close());
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await mesh.close();
  await identity.close();
});

async function listen(server: SecurableServer): Promise<number> {
  const secured = secureServer(server, { mode: 'strict' }, parts, noMeter);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    secured.close();
    (server as Partial<Server>).closeAllConnections?.();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** The server has a new certificate, and those who know the one before are told to go. */
async function rotate(): Promise<void> {
  identity.set(stateOf(ca, 'reviews'));
  await clock.advance(0);
}

const WEB = 'spiffe://cluster.local/ns/default/sa/web';
const caller = (): string => mesh.peer()?.spiffeId ?? 'nobody';
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Each answers who calls, after it has waited. */
const FRAMEWORKS: Readonly<Record<string, () => Promise<SecurableServer>>> = {
  async Fastify() {
    const app = fastify();
    await app.register(meshPlugin as never);
    app.get('/*', async () => {
      await turn();
      return caller();
    });
    await app.ready();
    closing.push(() => app.close());
    return app.server;
  },
  async Hono() {
    const app = new Hono();
    app.use(meshMiddleware() as never);
    app.get('/*', async (c) => {
      await turn();
      return c.text(caller());
    });
    return createHttp(getRequestListener(app.fetch));
  },
};

test.each(Object.entries(FRAMEWORKS))('mesh.peer() in a handler of %s is who calls', async (_, make) => {
  const port = await listen(await make());
  const face = SECURE_FACES['node:http'] as SecureFace;
  const address = { host: '127.0.0.1', port };
  expect(await face.ask(address, { ca, identity: ca.issue({ name: 'web' }) })).toEqual([200, WEB]);
});

describe('a server whose certificate is replaced', () => {
  const client = () => {
    const own = ca.issue({ name: 'web' });
    return { ca: ca.root, key: own.keyPem, cert: own.chainPem, checkServerIdentity: () => undefined };
  };

  test('HTTP/1.1: says on each connection that the next answer is its last, and no call fails', async () => {
    const port = await listen(createHttp((_, response) => void turn().then(() => response.end(caller()))));
    const agent = new HttpsAgent({ keepAlive: true, ...client() });
    closing.push(() => agent.destroy());
    const ask = () =>
      new Promise<{ text: string; connection: string | undefined; reused: boolean }>((resolve, reject) => {
        const request = httpsRequest({ port, host: '127.0.0.1', agent }, async (response) => {
          let text = '';
          for await (const chunk of response) text += chunk;
          resolve({ text, connection: response.headers.connection, reused: request.reusedSocket });
        });
        request.on('error', reject).end();
      });
    expect(await ask()).toMatchObject({ text: WEB, connection: 'keep-alive', reused: false });
    expect(await ask()).toMatchObject({ text: WEB, connection: 'keep-alive', reused: true });
    for (let i = 0; i < 5; i++) {
      await rotate();
      expect(await ask()).toMatchObject({ text: WEB, connection: 'close', reused: true });
      expect(await ask()).toMatchObject({ text: WEB, connection: 'keep-alive', reused: false });
    }
  });

  test('HTTP/2: tells clients to go by GOAWAY, and streams under way finish', async () => {
    let answer: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    let arrived: () => void = () => {};
    const here = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const server: Http2Server = createHttp2((_, response) => {
      arrived();
      void held.then(() => response.end(caller()));
    });
    const port = await listen(server);
    const session = connectHttp2(`https://127.0.0.1:${port}`, client());
    closing.push(() => session.destroy());
    const stream = session.request({ ':path': '/' });
    const text = (async () => {
      let all = '';
      for await (const chunk of stream) all += chunk;
      return all;
    })();
    await here;
    const goaway = new Promise<number>((resolve) => session.once('goaway', resolve));
    await rotate();
    expect(await goaway).toBe(0);
    answer();
    expect(await text).toBe(WEB);
    await new Promise((resolve) => (session.destroyed ? resolve(undefined) : session.once('close', resolve)));
  });
});
