import { once } from 'node:events';
import { createServer, get, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/core/model/endpoint.js';
import { meshHandler, meshUpgrade, type Mesh } from '../../../src/index.js';
import { startProxy } from '../../../src/proxy/index.js';
import { meshMiddleware } from '../../../src/server/express.js';
import { meshPlugin } from '../../../src/server/fastify.js';
import { meshMiddleware as honoMiddleware } from '../../../src/server/hono.js';
import { freeAddress } from '../../server/xds/support.js';
import { jwks, signToken, testKey } from '../../support/jwt.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { SERVER_FACES } from '../../support/server-faces.js';
import { openCarrier } from '../support/carriers.js';
import type { Opened } from '../support/served.js';

/* Tokens that come in the query: who serves the request sees what is left of it, as Envoy's upstreams do. */

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const KEY = testKey('RS256', 'k1');
const ISSUER = 'https://issuer.test';
const TOKEN = signToken(KEY, { iss: ISSUER, sub: 'ada', exp: Math.floor(Date.now() / 1_000) + 600 });
const config = (more = ''): string => `${serviceYaml('reviews')}---
apiVersion: inmesh.dev/v1alpha1
kind: AuthenticationPolicy
metadata: { name: users }
spec: { targetRefs: [{ name: reviews }], jwt: [{ issuer: "${ISSUER}", jwks: '${jwks(KEY)}'${more} }] }
`;

async function open(more = ''): Promise<Mesh> {
  const { mesh, close } = await openCarrier('embedded', config(more));
  opened.push(close);
  return mesh;
}

async function listening(server: Server | http2.Http2Server): Promise<number> {
  if (!server.listening) server.listen(0, '127.0.0.1');
  if (!server.listening) await once(server, 'listening');
  opened.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** All that a handler could find the token in, as text. */
const PORTS: Record<string, (mesh: Mesh) => Promise<number>> = {
  'node:http': (mesh) =>
    listening(
      createServer(
        meshHandler(
          ({ url, rawHeaders }: IncomingMessage, response: ServerResponse) =>
            response.end(JSON.stringify([url, rawHeaders])),
          { mesh, service: 'reviews' },
        ),
      ),
    ),
  Express: (mesh) => {
    const app = express();
    app.use('/a', meshMiddleware({ mesh, service: 'reviews' }));
    app.use((incoming, response) => {
      response.send(JSON.stringify([incoming.originalUrl, incoming.url, incoming.query]));
    });
    return listening(createServer(app));
  },
  Fastify: async (mesh) => {
    const app = fastify();
    await app.register(meshPlugin, { mesh, service: 'reviews' });
    app.all('/*', (incoming, reply) =>
      reply.send(JSON.stringify([incoming.url, incoming.originalUrl, incoming.query, incoming.raw.url])),
    );
    await app.listen({ port: 0, host: '127.0.0.1' });
    opened.push(() => app.close());
    return (app.server.address() as AddressInfo).port;
  },
  'Hono on Node': (mesh) => {
    const app = new Hono<{ Bindings: { incoming: IncomingMessage } }>();
    app.use(honoMiddleware({ mesh, service: 'reviews' }));
    app.all('*', async (c) =>
      c.text(JSON.stringify([c.req.url, c.req.raw.url, c.req.query(), c.env.incoming.url, await c.req.text()])),
    );
    return listening(serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server);
  },
};

const path = (tokenAs: string): string => `/a/b?x=%2F1&${tokenAs}=${TOKEN}&y=2&y=`;

describe.each(Object.entries(PORTS))('%s', (_, start) => {
  test('shows handlers the query without the token, and the rest of it as it came', async () => {
    const port = await start(await open());
    for (const tokenAs of ['access_token', 'access%5Ftoken']) {
      const reply = await fetch(`http://127.0.0.1:${port}${path(tokenAs)}`);
      expect(reply.status).toBe(200);
      const seen = await reply.text();
      expect(seen).not.toContain(TOKEN);
      expect(seen).toContain('/a/b?x=%2F1&y=2&y=');
    }
    const only = await fetch(`http://127.0.0.1:${port}/a/b?access_token=${TOKEN}`);
    expect(await only.text()).toMatch(/\/a\/b"/);
  });

  test('shows them the token where it is to be forwarded', async () => {
    const port = await start(await open(', forwardOriginalToken: true'));
    const seen = await (await fetch(`http://127.0.0.1:${port}${path('access_token')}`)).text();
    expect(seen).toContain(path('access_token'));
  });
});

test('Hono on Node hands on the body all the same', async () => {
  const port = await PORTS['Hono on Node']?.(await open());
  const reply = await fetch(`http://127.0.0.1:${port}${path('access_token')}`, { method: 'POST', body: 'hello' });
  expect([reply.status, await reply.text()]).toEqual([200, expect.stringContaining('"hello"')]);
});

test('Hono without Node shows handlers the query without the token', async () => {
  const app = new Hono();
  app.use(honoMiddleware({ mesh: await open(), service: 'reviews' }));
  app.all('*', async (c) => c.text(JSON.stringify([c.req.url, c.req.query(), await c.req.text()])));
  const reply = await app.request(`http://reviews${path('access_token')}`, { method: 'POST', body: 'hello' });
  expect([reply.status, await reply.text()]).toEqual([
    200,
    JSON.stringify(['http://reviews/a/b?x=%2F1&y=2&y=', { x: '/1', y: '2' }, 'hello']),
  ]);
});

test('node:http2 shows handlers `:path` without the token', async () => {
  const handler = meshHandler(
    ({ url, headers, rawHeaders }: http2.Http2ServerRequest, response: http2.Http2ServerResponse) =>
      response.end(JSON.stringify([url, headers[':path'], rawHeaders])),
    { mesh: await open(), service: 'reviews' },
  );
  const port = await listening(http2.createServer(handler));
  const { told } = SERVER_FACES['node:http2']?.ask({ host: '127.0.0.1', port }, path('access_token')) ?? {};
  const seen = (await told)?.text ?? '';
  expect(seen).toContain('/a/b?x=%2F1&y=2&y=');
  expect(seen).not.toContain(TOKEN);
});

test.each(Object.keys(SERVER_FACES).filter((name) => name !== 'grpc-js'))(
  'mesh.serve of %s shows handlers the query without the token',
  async (name) => {
    const face = SERVER_FACES[name] as (typeof SERVER_FACES)[string];
    const mesh = await open();
    const address = await freeAddress();
    const seen: string[] = [];
    const serving = await mesh.serve(
      face.server((asked) => void seen.push(asked)),
      {
        address: addressKey(address),
        service: 'reviews',
      },
    );
    await serving.ready();
    expect((await face.ask(address, path('access_token')).told).status).toBe(200);
    expect(seen).toEqual(['/a/b?x=%2F1&y=2&y=']);
  },
);

test('who takes over a connection sees the query without the token', async () => {
  const server = createServer();
  server.on(
    'upgrade',
    meshUpgrade(({ url }, socket) => socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${url}`), {
      mesh: await open(),
      service: 'reviews',
    }),
  );
  const port = await listening(server);
  const asked = request({ port, path: path('access_token'), headers: { connection: 'upgrade', upgrade: 'x' } });
  asked.end();
  const [reply] = (await once(asked, 'response')) as [IncomingMessage];
  let seen = '';
  for await (const part of reply) seen += part;
  expect(seen).toBe('/a/b?x=%2F1&y=2&y=');
});

test('what is behind the proxy sees the query without the token', async () => {
  const port = await listening(createServer(({ url }, response) => response.end(url)));
  const behind = serviceYaml('localhost', `endpoints: ["127.0.0.1:${port}"]`);
  const { mesh, close } = await openCarrier('embedded', config() + behind);
  opened.push(close);
  const { service, servers, meter } = mesh;
  const proxy = await startProxy({
    service,
    servers,
    meter,
    policies: 'reviews',
    gateway: true,
    listen: '127.0.0.1:0',
  });
  opened.push(() => proxy.close({ graceMs: 0 }));
  const asked = get(`${proxy.url}${path('access_token')}`, { headers: { host: 'localhost' }, agent: false });
  const [reply] = (await once(asked, 'response')) as [IncomingMessage];
  let seen = '';
  for await (const part of reply) seen += part;
  expect([reply.statusCode, seen]).toEqual([200, '/a/b?x=%2F1&y=2&y=']);
});
