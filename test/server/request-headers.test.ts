import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as grpc from '@grpc/grpc-js';
import { serve as serveHono } from '@hono/node-server';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { headerFields } from '../../src/core/headers.js';
import { silentLogger } from '../../src/core/log.js';
import { noMeter } from '../../src/core/meter.js';
import { DEFAULT_LIMIT_REPLY, type LimitRule } from '../../src/core/model/limit.js';
import { INBOUND_PREFIX } from '../../src/core/resources.js';
import { seededRandom } from '../../src/core/random.js';
import { LimitStores } from '../../src/resilience/ratelimit/stores.js';
import { limitMatching } from '../../src/routing/limit-matching.js';
import { meshMiddleware as expressMiddleware } from '../../src/server/express.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshServerInterceptor } from '../../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import type { InboundOptions } from '../../src/server/inbound.js';
import type { ServerParts } from '../../src/server/parts.js';
import { type TestMesh, testMesh } from '../../src/testing/index.js';
import { grpcMethod } from '../support/server-faces.js';
import { chain, listener, route, table } from './xds/support.js';

/** What a rate limit service wants added to a request that goes on (`request_headers_to_add` of RateLimitResponse) is there for its handler. */

const closing: (() => unknown)[] = [];
let mesh: TestMesh;
let options: InboundOptions;
beforeEach(() => {
  mesh = testMesh({ services: {} });
  closing.push(() => mesh.close());
  const { clock } = mesh.servers;
  const requestHeaders = headerFields({ 'x-plan': 'gold', 'x-checked': 'yes' });
  const stores = new LimitStores({
    ...{ clock, random: seededRandom(1), meter: noMeter, logger: silentLogger },
    rls: () => ({
      shouldRateLimit: () =>
        Promise.resolve({ allowed: true, states: [], replyHeaders: undefined, requestHeaders, body: undefined }),
    }),
  });
  const matching = limitMatching({ random: seededRandom(1) });
  const rule: LimitRule = {
    name: 'asked',
    key: [{ kind: 'generic', as: 'rule', value: 'asked' }],
    mode: 'enforce',
    store: { kind: 'rls', service: 'limits', domain: 'edge', timeoutMs: 1_000 },
    onStoreFailure: 'deny',
  };
  const config = table([{ ...route('/'), limits: { rules: [rule], ...DEFAULT_LIMIT_REPLY } }]);
  const servers: ServerParts = {
    ...mesh.servers,
    limits: { clock, meter: noMeter, stores, matching },
    watch(_, watcher) {
      const inbound = listener(
        { host: '0.0.0.0', port: 80 },
        { name: `${INBOUND_PREFIX}a`, defaultFilterChain: chain('all', {}, { routes: { kind: 'inline', config } }) },
      );
      watcher.changed({ listener: inbound, routes: new Map() });
      return () => {};
    },
  };
  options = { mesh: { meter: mesh.meter, servers }, service: 'a' };
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

type Headers = Readonly<Record<string, unknown>>;
const pick = (headers: Headers): string => [headers['x-plan'], headers['x-checked'], headers['x-kept']].join();
const SENT = { 'x-plan': 'free', 'x-kept': 'kept' };
const SEEN = 'gold,yes,kept';

async function ask(listen: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(listen);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return get((server.address() as AddressInfo).port);
}
const get = async (port: number): Promise<string> =>
  (await fetch(`http://127.0.0.1:${port}/`, { headers: SENT })).text();

test('node:http', async () => {
  expect(await ask(meshHandler((req, res) => res.end(pick(req.headers)), options))).toBe(SEEN);
});

test('Express', async () => {
  const app = express();
  app.use(expressMiddleware(options));
  app.get('/', (req, res) => void res.send([req.get('x-plan'), req.get('x-checked'), req.get('x-kept')].join()));
  expect(await ask(app)).toBe(SEEN);
});

test('Fastify', async () => {
  const app = fastify();
  await app.register(meshPlugin, options);
  app.get('/', (request) => pick(request.headers));
  await app.listen({ port: 0, host: '127.0.0.1' });
  closing.push(() => app.close());
  expect(await get((app.server.address() as AddressInfo).port)).toBe(SEEN);
});

/** `early`: another middleware reads a header before ours. */
function hono(early: boolean): Hono {
  const app = new Hono();
  if (early)
    app.use(async (c, next) => {
      c.req.header();
      await next();
    });
  app.use(honoMiddleware(options));
  app.all('/', (c) => c.text(pick(c.req.header())));
  return app;
}

test.each([false, true])('Hono on Node; its headers were read before: %s', async (early) => {
  const server = serveHono({ fetch: hono(early).fetch, port: 0, hostname: '127.0.0.1' });
  if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  expect(await get((server.address() as AddressInfo).port)).toBe(SEEN);
});

test.each(['may', 'may not'])('Hono on other servers, whose requests %s be changed', async (may) => {
  const request = new Request('http://a/', { headers: SENT });
  if (may === 'may not') {
    const refuse = (): never => {
      throw new TypeError('immutable');
    };
    Object.defineProperty(request.headers, 'set', { value: refuse });
  }
  expect(await (await hono(false).fetch(request)).text()).toBe(SEEN);
});

test.each(['unary', 'a stream'])('grpc-js: %s', async (kind) => {
  const server = new grpc.Server({ interceptors: [meshServerInterceptor(options)] });
  const seen = ({ metadata }: { metadata: grpc.Metadata }): Buffer => Buffer.from(pick(metadata.getMap()));
  server.addService(
    { get: grpcMethod('/test/Get'), both: grpcMethod('/test/Both', true, true) },
    {
      get: (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) => done(null, seen(call)),
      both: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
        call.write(seen(call));
        call.end();
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  closing.push(() => {
    client.close();
    server.forceShutdown();
  });
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(SENT)) metadata.set(name, value);
  const bytes = (value: Buffer): Buffer => value;
  const text = await new Promise((resolve, reject) => {
    if (kind === 'unary') {
      client.makeUnaryRequest('/test/Get', bytes, String, Buffer.alloc(0), metadata, (error, value) =>
        error ? reject(error) : resolve(value),
      );
    } else {
      const call = client.makeBidiStreamRequest<Buffer, string>('/test/Both', bytes, String, metadata);
      call.on('data', resolve);
      call.on('error', reject);
      call.end();
    }
  });
  expect(text).toBe(SEEN);
});
