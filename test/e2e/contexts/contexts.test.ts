import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { request } from 'undici';
import { afterEach, describe, expect, test } from 'vitest';
import { type Ambient, ambient, withAmbient } from '../../../src/core/ambient.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, meshClient } from '../../../src/index.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A request being served, by whose baggage the test knows it. */
const serving = <T>(user: string, work: () => T): T => withAmbient(contextOf(user), work);
const contextOf = (user: string): Ambient => ({
  deadline: Number.POSITIVE_INFINITY,
  cancellation: undefined,
  traceparent: undefined,
  tracestate: undefined,
  baggage: `user=${user}`,
});
const now = (): string | undefined => ambient()?.baggage;
const BOB = 'user=bob';

async function httpServer(handler: (request: IncomingMessage, reply: ServerResponse) => void): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await new Promise((listening) => server.once('listening', listening));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function meshOf(options: Parameters<typeof meshClient>[0]): Mesh {
  const mesh = meshClient({ logger: silentLogger, ...options });
  closing.push(() => mesh.close());
  return mesh;
}

/** One Service `reviews`, a route with `filters` and a policy. */
function configured(endpoint: string, filters: string, policy: string, more = ''): Mesh {
  const folder = mkdtempSync(join(tmpdir(), 'inmesh-contexts-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'mesh.yaml');
  writeFileSync(
    config,
    `apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["${endpoint}"] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: reviews }
spec:
  parentRefs: [{ kind: Service, group: "", name: reviews }]
  rules: [{ filters: ${filters}, backendRefs: [{ name: reviews, port: 80 }] }]
---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: reviews }]
  ${policy}
${more}`,
  );
  return meshOf({ config });
}

describe('two requests on one connection', () => {
  test('hear of undici requests in their own context: head, data, end', async () => {
    const endpoint = await httpServer((incoming, reply) => {
      reply.write('a');
      incoming.resume().on('end', () => setImmediate(() => reply.end('b')));
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await serving('alice', async () => (await mesh.fetch('http://reviews/')).text());
    const seen: unknown[] = [];
    await serving('bob', async () => {
      const { body } = await request('http://reviews/', { dispatcher: mesh.dispatcher });
      await new Promise<void>((done, fail) => {
        body.on('data', () => seen.push(now()));
        body.on('error', fail);
        body.on('end', () => {
          seen.push(now());
          done();
        });
      });
    });
    expect(seen.length).toBeGreaterThan(1);
    expect(new Set(seen)).toEqual(new Set([BOB]));
  });

  test('hear of a dispatched request in their own context, the error after it was broken off included', async () => {
    const endpoint = await httpServer((incoming, reply) => {
      reply.write('a');
      if (incoming.url === '/whole') reply.end('b');
      else setImmediate(() => incoming.socket.destroy());
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await serving('alice', async () => (await mesh.fetch('http://reviews/whole')).text());
    const seen: [string, unknown][] = [];
    await serving(
      'bob',
      () =>
        new Promise<void>((done) =>
          mesh.dispatcher.dispatch({ origin: 'http://reviews', path: '/', method: 'GET' }, {
            onRequestStart: () => seen.push(['start', now()]),
            onResponseStart: () => seen.push(['head', now()]),
            onResponseData: () => seen.push(['data', now()]),
            onResponseEnd: () => done(),
            onResponseError: () => {
              seen.push(['error', now()]);
              done();
            },
          } as never),
        ),
    );
    expect(seen).toEqual(['start', 'head', 'data', 'error'].map((what) => [what, BOB]));
  });

  test('read the streamed body of a fetch in their own context, through a transform of their own, too', async () => {
    const endpoint = await httpServer((_, reply) => {
      reply.write('a');
      setImmediate(() => reply.end('b'));
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await serving('alice', async () => (await mesh.fetch('http://reviews/')).text());
    const seen: unknown[] = [];
    await serving('bob', async () => {
      const { body } = await mesh.fetch('http://reviews/');
      const transform = new TransformStream<Uint8Array, Uint8Array>({
        transform(chunk, controller) {
          seen.push(now());
          controller.enqueue(chunk);
        },
        flush: () => void seen.push(now()),
      });
      for await (const _ of (body as ReadableStream<Uint8Array>).pipeThrough(transform)) seen.push(now());
    });
    expect(seen.length).toBeGreaterThan(2);
    expect(new Set(seen)).toEqual(new Set([BOB]));
  });

  test('are asked for the body that they upload in their own context, until they have given all of it', async () => {
    const endpoint = await httpServer((incoming, reply) => {
      incoming.resume().on('end', () => reply.end());
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await serving('alice', async () => (await mesh.fetch('http://reviews/')).text());
    const seen: unknown[] = [];
    const upload = async function* () {
      for (let i = 0; i < 64; i++) {
        seen.push(now());
        yield new Uint8Array(65_536);
      }
      seen.push(now());
    };
    await serving('bob', async () => {
      await (
        await mesh.fetch('http://reviews/', { method: 'PUT', body: upload() as never, duplex: 'half' } as RequestInit)
      ).text();
    });
    expect(seen).toEqual(Array.from({ length: 65 }, () => BOB));
  });
});

const bytes = {
  requestSerialize: (value: Buffer) => value,
  requestDeserialize: (value: Buffer) => value,
  responseSerialize: (value: Buffer) => value,
  responseDeserialize: (value: Buffer) => value,
};
const SERVICE = {
  Get: { path: '/t.T/Get', requestStream: false, responseStream: false, ...bytes },
  List: { path: '/t.T/List', requestStream: false, responseStream: true, ...bytes },
  Chat: { path: '/t.T/Chat', requestStream: true, responseStream: true, ...bytes },
};
// biome-ignore lint: methods of a client that is made at run time
type Methods = Record<string, (...args: any[]) => any>;

async function grpcClient(): Promise<{ client: Methods; mesh: Mesh }> {
  const server = new grpc.Server();
  server.addService(SERVICE, {
    Get: (_: unknown, answer: (error: null, value: Buffer) => void) => setImmediate(answer, null, Buffer.from('x')),
    List: (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      call.write(Buffer.from('1'));
      setImmediate(() => {
        call.write(Buffer.from('2'));
        if (call.metadata.get('hang').length === 0) setImmediate(() => call.end());
      });
    },
    Chat: (call: grpc.ServerDuplexStream<Buffer, Buffer>) => {
      call.on('data', () => {});
      call.on('end', () => {
        call.write(Buffer.from('done'));
        call.end();
      });
    },
  });
  const port = await new Promise<number>((bound, fail) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
      error === null ? bound(at) : fail(error),
    ),
  );
  closing.push(() => server.forceShutdown());
  const mesh = meshOf({ services: { t: [`127.0.0.1:${port}`] } });
  const client = (await mesh.grpc(grpc.makeGenericClientConstructor(SERVICE, 'T'), 't')) as unknown as Methods;
  await serving('alice', () => new Promise((done) => client['Get']?.(Buffer.from('q'), done)));
  return { client, mesh };
}

describe('two requests on one gRPC connection', () => {
  test('have the callback of a unary call in their own context, and its events', async () => {
    const { client } = await grpcClient();
    const seen: [string, unknown][] = [];
    await serving(
      'bob',
      () =>
        new Promise<void>((done) => {
          const call = client['Get']?.(Buffer.from('q'), () => {
            seen.push(['callback', now()]);
            done();
          });
          call.on('metadata', () => seen.push(['metadata', now()]));
          call.on('status', () => seen.push(['status', now()]));
        }),
    );
    expect(Object.fromEntries(seen)).toEqual({ callback: BOB, metadata: BOB, status: BOB });
  });

  test('have the events of streams in their own context, and are told there that there is room for more', async () => {
    const { client } = await grpcClient();
    const seen: [string, unknown][] = [];
    await serving(
      'bob',
      () =>
        new Promise<void>((done, fail) => {
          const call = client['Chat']?.();
          for (const event of ['metadata', 'data', 'status']) call.on(event, () => seen.push([event, now()]));
          call.on('error', fail);
          call.on('end', () => {
            seen.push(['end', now()]);
            done();
          });
          let left = 32;
          const write = (): void => {
            seen.push(['write', now()]);
            if (left-- === 0) call.end();
            else call.write(Buffer.alloc(65_536), write);
          };
          write();
        }),
    );
    expect(seen.map(([event]) => event)).toEqual(
      expect.arrayContaining(['metadata', 'data', 'status', 'end', 'write']),
    );
    expect(seen.filter(([, context]) => context !== BOB)).toEqual([]);
  });

  test('have their own context when a deadline ends their streams, though they share a timer', async () => {
    const { client } = await grpcClient();
    const hang = new grpc.Metadata();
    hang.set('hang', '1');
    const deadline = Date.now() + 150;
    const list = (until: number) =>
      new Promise<unknown>((done) => {
        const stream = client['List']?.(Buffer.from('q'), hang, { deadline: until });
        stream.on('data', () => {});
        stream.on('error', ({ code }: grpc.ServiceError) => done([code, now()]));
      });
    const alice = serving('alice', () => list(deadline));
    const bob = serving('bob', () => list(deadline));
    expect(await alice).toEqual([grpc.status.DEADLINE_EXCEEDED, 'user=alice']);
    expect(await bob).toEqual([grpc.status.DEADLINE_EXCEEDED, BOB]);
  });
});

describe('what is sent for a request later on', () => {
  test('because it waited for a connection is sent in its own context: instrumentation of undici sees whose it is', async () => {
    const endpoint = await httpServer((_, reply) => setImmediate(() => reply.end('ok')));
    const mesh = configured(
      endpoint,
      '[]',
      'retry: {}',
      `---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec:
  targetRefs: [{ kind: Service, group: "", name: reviews }]
  connectionPool: { maxConnections: 1 }
`,
    );
    await mesh.ready('reviews');
    const seen: unknown[] = [];
    const created = (): void => void seen.push(now());
    subscribe('undici:request:create', created);
    closing.push(() => unsubscribe('undici:request:create', created));
    const ask = async (): Promise<string> => (await mesh.fetch('http://reviews/')).text();
    await Promise.all([serving('alice', ask), serving('bob', ask), ask(), serving('carol', ask)]);
    expect(seen).toEqual(['user=alice', BOB, undefined, 'user=carol']);
  });

  test('as a hedge bears its own baggage, or none, though another armed the timer', async () => {
    const seen: string[] = [];
    const endpoint = await httpServer((incoming, reply) => {
      const attempt = incoming.headers['x-envoy-attempt-count'];
      seen.push(`${incoming.url} ${incoming.headers['baggage']}`);
      if (attempt !== undefined && attempt !== '1') reply.end();
    });
    const mesh = configured(endpoint, '[]', 'hedge: { delay: 30ms, maxExtraPercent: 100 }');
    await mesh.ready();
    await Promise.all([
      serving('alice', () => mesh.fetch('http://reviews/alice')),
      withAmbient({ ...contextOf('bob'), baggage: undefined }, () => mesh.fetch('http://reviews/bob')),
    ]);
    expect(seen.filter((request) => request.startsWith('/alice'))).toEqual(['/alice user=alice', '/alice user=alice']);
    expect(seen.filter((request) => request.startsWith('/bob'))).toEqual(['/bob undefined', '/bob undefined']);
  });

  test('because its configuration was waited for bears its own baggage, whoever asked for it first', async () => {
    const seen: string[] = [];
    const endpoint = await httpServer((incoming, reply) => {
      seen.push(`${incoming.url} ${incoming.headers['baggage']}`);
      reply.end();
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await Promise.all(['alice', 'bob'].map((user) => serving(user, () => mesh.fetch(`http://reviews/${user}`))));
    expect(seen.sort()).toEqual(['/alice user=alice', '/bob user=bob']);
  });

  test('as a retry bears its own baggage', async () => {
    const seen: unknown[] = [];
    const endpoint = await httpServer((incoming, reply) => {
      seen.push(incoming.headers['baggage']);
      if (incoming.headers['x-envoy-attempt-count'] === undefined && incoming.url === '/bob') reply.statusCode = 503;
      reply.end();
    });
    const mesh = meshOf({ services: { reviews: [endpoint] } });
    await serving('alice', async () => (await mesh.fetch('http://reviews/')).text());
    const { status } = await serving('bob', () => mesh.fetch('http://reviews/bob'));
    expect([status, ...seen]).toEqual([200, 'user=alice', BOB, BOB]);
  });

  test('as a mirrored upload bears its own baggage', async () => {
    let copied!: (baggage: unknown) => void;
    const copy = new Promise((resolve) => {
      copied = resolve;
    });
    const shadow = await httpServer((incoming, reply) => {
      if (incoming.method === 'PUT') copied(incoming.headers['baggage']);
      incoming.resume().on('end', () => reply.end());
    });
    const endpoint = await httpServer((incoming, reply) => {
      incoming.resume().on('end', () => reply.end());
    });
    const mesh = configured(
      endpoint,
      '[{ type: RequestMirror, requestMirror: { backendRef: { name: shadow, port: 80 } } }]',
      'retry: {}',
      `---
apiVersion: v1
kind: Service
metadata: { name: shadow }
spec: { endpoints: ["${shadow}"] }
`,
    );
    await serving('alice', async () => (await mesh.fetch('http://reviews/')).text());
    const upload = async function* () {
      yield Buffer.alloc(1_000);
    };
    await serving('bob', async () =>
      (
        await mesh.fetch('http://reviews/', { method: 'PUT', body: upload() as never, duplex: 'half' } as RequestInit)
      ).text(),
    );
    expect(await copy).toBe(BOB);
  });
});
