import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import * as grpc from '@grpc/grpc-js';
import { Hono } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/core/model/endpoint.js';
import { meshHandler, type Mesh } from '../../../src/index.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { meshMiddleware } from '../../../src/server/hono.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { freeAddress } from '../../server/xds/support.js';
import type { Opened } from '../support/served.js';
import { meshAsking } from './support.js';

/* What an authorization service is shown of bodies, and that handlers have all of them. */

const opened: Opened = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const shown = (spec: string, mood: () => 'allow' | 'deny' = () => 'allow') =>
  meshAsking(opened, 'grpc', mood, `includeRequestBody: { ${spec} }`);

type Answer = readonly [status: number, body: string];
/** Sends chunks, each once the one before was sent, and then ends the request; over HTTP/2, with its length or without. */
type Send = (chunks: readonly string[], headers?: Record<string, string>) => Promise<Answer>;

async function overHttp2(port: number): Promise<Send> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  opened.push(() => session.close());
  return async (chunks, headers = {}) => {
    const stream = session.request(
      { ':method': 'POST', ':path': '/a', ...headers },
      { endStream: chunks.length === 0 },
    );
    const status = new Promise<number>((resolve, reject) => {
      stream.once('response', (head) => resolve(Number(head[':status'])));
      stream.once('error', reject);
    });
    for (const chunk of chunks) await new Promise((resolve) => stream.write(chunk, resolve));
    stream.end();
    return [await status, (await buffer(stream)).toString()];
  };
}

const echo = async (request: Readable, response: { end(body: Buffer): unknown }): Promise<void> => {
  response.end(await buffer(request));
};

const KINDS: Record<string, (mesh: Mesh) => Promise<Send>> = {
  'node:http2': async (mesh) => {
    const handler = meshHandler(
      (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => echo(request, response),
      { mesh, service: 'reviews' },
    );
    const server = http2.createServer(handler);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    opened.push(() => server.close());
    return overHttp2((server.address() as AddressInfo).port);
  },
  'mesh.serve of node:http2': async (mesh) => {
    const address = await freeAddress();
    const server = http2.createServer((request, response) => void echo(request, response));
    const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
    await serving.ready();
    return overHttp2(address.port);
  },
  'streams of node:http2 under mesh.serve': async (mesh) => {
    const address = await freeAddress();
    const server = http2.createServer();
    server.on('stream', (stream) => void echo(stream, stream));
    const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
    await serving.ready();
    return overHttp2(address.port);
  },
  'mesh.serve of node:http': async (mesh) => {
    const address = await freeAddress();
    const server = createServer((request: IncomingMessage, response: ServerResponse) => void echo(request, response));
    const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
    await serving.ready();
    return overFetch((given) => fetch(`http://${addressKey(address)}/a`, given));
  },
  'Hono without Node': async (mesh) => {
    const app = new Hono();
    app.use(meshMiddleware({ mesh, service: 'reviews' }));
    app.all('*', async (c) => c.text(await c.req.text()));
    return overFetch(async (given) => app.request('http://reviews/a', given));
  },
};

const overFetch =
  (ask: (given: RequestInit) => Promise<Response>): Send =>
  async (chunks, headers = {}) => {
    const body = ReadableStream.from(chunks.map((chunk) => Buffer.from(chunk)));
    const given = chunks.length === 0 ? {} : { body, duplex: 'half' as const };
    const reply = await ask({ method: 'POST', headers, ...given });
    return [reply.status, await reply.text()];
  };

describe.each(Object.entries(KINDS))('%s', (name, start) => {
  test('is shown the whole body, and the handler has it', async () => {
    const { mesh, service } = await shown('maxBytes: 10');
    const send = await start(mesh);
    for (const chunks of [['hello'], ['0123456789'], ['a', 'bc', 'd'], []]) {
      expect(await send(chunks)).toEqual([200, chunks.join('')]);
      expect(service.asked.at(-1)?.body).toBe(chunks.join(''));
    }
    if (name.includes('http2')) expect(await send(['hello'], { 'content-length': '5' })).toEqual([200, 'hello']);
    const asked = service.asked.length;
    expect((await send(['0123456789', 'X']))[0]).toBe(413);
    expect(service.asked).toHaveLength(asked);
  });

  test('is shown the start of a longer one, which the handler has whole', async () => {
    const { mesh, service } = await shown('maxBytes: 4, allowPartial: true');
    const send = await start(mesh);
    const long = 'x'.repeat(200_000);
    expect(await send(['ab', 'cdef', long])).toEqual([200, `abcdef${long}`]);
    expect(service.asked.at(-1)?.body).toBe('abcd');
    expect(service.asked.at(-1)?.headers['x-envoy-auth-partial-body']).toBe('true');
  });

  test('serves nobody whom the service refuses for a body', async () => {
    const { mesh, service } = await shown('maxBytes: 10', () => 'deny');
    const send = await start(mesh);
    expect((await send(['bad']))[0]).toBe(418);
    expect(service.asked.at(-1)?.body).toBe('bad');
  });
});

const text = (value: string): Buffer => Buffer.from(value);
const method = (name: string, requestStream: boolean) => ({
  path: `/test.Sums/${name}`,
  requestStream,
  responseStream: false,
  requestSerialize: text,
  requestDeserialize: String,
  responseSerialize: text,
  responseDeserialize: String,
});
const SUMS = { one: method('one', false), many: method('many', true) };
const HANDLERS: grpc.UntypedServiceImplementation = {
  one: (call: grpc.ServerUnaryCall<string, string>, done: grpc.sendUnaryData<string>) => done(null, call.request),
  many: async (call: grpc.ServerReadableStream<string, string>, done: grpc.sendUnaryData<string>) => {
    const parts: string[] = [];
    for await (const part of call) parts.push(part as string);
    done(null, parts.join('|'));
  },
};
/** As it is on the wire: a prefix of five bytes before each message (gRPC over HTTP/2, Length-Prefixed-Message). */
const framed = (...messages: string[]): string =>
  messages.map((message) => `\0\0\0\0${String.fromCharCode(message.length)}${message}`).join('');

const GRPC: Record<string, (mesh: Mesh) => Promise<number>> = {
  middleware: async (mesh) => {
    // Another one before it: the call is that of another interceptor.
    const other: grpc.ServerInterceptor = (_, call) => new grpc.ServerInterceptingCall(call);
    const server = new grpc.Server({ interceptors: [other, meshServerInterceptor({ mesh, service: 'reviews' })] });
    server.addService(SUMS, HANDLERS);
    opened.push(() => server.forceShutdown());
    return new Promise((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      ),
    );
  },
  'mesh.serve': async (mesh) => {
    const address = await freeAddress();
    const server = new XdsServer();
    server.addService(SUMS, HANDLERS);
    const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
    await serving.ready();
    return address.port;
  },
};

describe.each(Object.entries(GRPC))('a gRPC server with %s', (_, start) => {
  async function client(mesh: Mesh) {
    const made = new grpc.Client(`127.0.0.1:${await start(mesh)}`, grpc.credentials.createInsecure());
    opened.push(() => made.close());
    type Told = (error: grpc.ServiceError | null, value?: string) => void;
    const told = (ask: (done: Told) => void): Promise<string | number | undefined> =>
      new Promise((resolve) => ask((error, value) => resolve(error === null ? value : error.code)));
    return {
      one: (message: string) => told((done) => void made.makeUnaryRequest(SUMS.one.path, text, String, message, done)),
      many: (messages: readonly string[]) =>
        told((done) => {
          const call = made.makeClientStreamRequest(SUMS.many.path, text, String, done);
          for (const message of messages) call.write(message);
          call.end();
        }),
    };
  }

  test('is shown messages as they are on the wire, and the handler has them', async () => {
    const { mesh, service } = await shown('maxBytes: 100, asBytes: true');
    const { one, many } = await client(mesh);
    expect(await one('hello')).toBe('hello');
    expect(service.asked.at(-1)?.body).toBe(framed('hello'));
    expect(await many(['a', 'bc', ''])).toBe('a|bc|');
    expect(service.asked.at(-1)?.body).toBe(framed('a', 'bc', ''));
    expect(await many([])).toBe('');
    expect(service.asked.at(-1)?.body).toBe('');
    expect(await one('x'.repeat(100))).toBe(grpc.status.UNKNOWN);
  });

  test('is shown the start of them', async () => {
    const { mesh, service } = await shown('maxBytes: 7, allowPartial: true, asBytes: true');
    const { one, many } = await client(mesh);
    expect(await one('hello')).toBe('hello');
    expect(service.asked.at(-1)?.body).toBe(framed('hello').slice(0, 7));
    const messages = Array.from({ length: 500 }, (__, index) => `${index}`.repeat(20));
    expect(await many(messages)).toBe(messages.join('|'));
  });

  test('serves nobody whom the service refuses for a message', async () => {
    const { mesh, service } = await shown('maxBytes: 100, asBytes: true', () => 'deny');
    const { one, many } = await client(mesh);
    // 418 is UNKNOWN in gRPC.
    expect([await one('bad'), await many(['bad'])]).toEqual([grpc.status.UNKNOWN, grpc.status.UNKNOWN]);
    expect(service.asked.map(({ body }) => body)).toEqual([framed('bad'), framed('bad')]);
  });
});

test('two services are shown the same body, of HTTP and of gRPC', async () => {
  const second = `---
apiVersion: inmesh.dev/v1alpha1
kind: ExternalAuthorizationPolicy
metadata: { name: too }
spec: { targetRefs: [{ name: reviews }], service: { name: authz }, includeRequestBody: { maxBytes: 50, asBytes: true } }
`;
  const { mesh, service } = await meshAsking(
    opened,
    'grpc',
    () => 'allow',
    'includeRequestBody: { maxBytes: 20, asBytes: true }',
    second,
  );
  const send = await KINDS['node:http2']?.(mesh);
  expect(await send?.(['hello'])).toEqual([200, 'hello']);
  expect(service.asked.map(({ body }) => body)).toEqual(['hello', 'hello']);
  const port = await GRPC['middleware']?.(mesh);
  const made = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  opened.push(() => made.close());
  const value = await new Promise((resolve) =>
    made.makeUnaryRequest(SUMS.one.path, text, String, 'hi', (__, said) => resolve(said)),
  );
  expect(value).toBe('hi');
  expect(service.asked.slice(2).map(({ body }) => body)).toEqual([framed('hi'), framed('hi')]);
});
