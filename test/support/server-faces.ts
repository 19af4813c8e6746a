import { createServer as createHttpServer } from 'node:http';
import http2 from 'node:http2';
import * as grpc from '@grpc/grpc-js';
import { type Address, addressKey } from '../../src/core/model/endpoint.js';
import { XdsServer } from '../../src/server/xds/grpc-server.js';
import type { ServableServer } from '../../src/server/xds/index.js';

/** What a client was told. `status`: over HTTP, or gRPC's. */
export interface Told {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

/** A request under way. */
export interface Asked {
  readonly told: Promise<Told>;
  /** Resolves with the head of the response. */
  readonly head: Promise<void>;
  leave(): void;
}

/** Runs when a request is handled; the answer waits for it. */
type Handle = (path: string) => unknown;

/** A server that can be served by the mesh, and a client of it. `/events` answers with a stream of events, which ends when the handler says so. */
export interface ServerFace {
  server(handle: Handle): ServableServer;
  /** On a connection of its own. */
  ask(address: Address, path?: string, headers?: Readonly<Record<string, string>>): Asked;
}

const EVENTS = { 'content-type': 'text/event-stream' };

const overHttp1: ServerFace = {
  server: (handle) =>
    createHttpServer(async (request, response) => {
      if (request.url === '/events') response.writeHead(200, EVENTS).flushHeaders();
      await handle(request.url as string);
      response.end('ok');
    }),
  ask(address, path = '/', headers = {}) {
    const leaving = new AbortController();
    const response = fetch(`http://${addressKey(address)}${path}`, {
      headers: { connection: 'close', ...headers },
      signal: leaving.signal,
    });
    const told = response.then(async (reply) => ({
      status: reply.status,
      headers: Object.fromEntries(reply.headers),
      text: await reply.text(),
    }));
    const head = response.then(() => {});
    for (const promise of [told, head]) promise.catch(() => {});
    return { told, head, leave: () => leaving.abort() };
  },
};

const overHttp2: ServerFace = {
  server: (handle) =>
    http2.createServer(async (request, response) => {
      if (request.url === '/events') response.writeHead(200, EVENTS);
      await handle(request.url);
      response.end('ok');
    }),
  ask(address, path = '/', headers = {}) {
    const session = http2.connect(`http://${addressKey(address)}`);
    const stream = session.request({ ':path': path, ...headers });
    const head = new Promise<http2.IncomingHttpHeaders>((resolve, reject) => {
      stream.on('response', resolve);
      stream.on('close', () => reject(new Error('closed')));
      for (const one of [session, stream]) one.on('error', reject);
    });
    const told = head.then(async ({ ':status': status, ...rest }) => {
      let text = '';
      for await (const chunk of stream) text += chunk;
      session.close();
      return { status: Number(status), headers: rest as Told['headers'], text };
    });
    const begun = head.then(() => {});
    for (const promise of [told, begun]) promise.catch(() => session.destroy());
    return { told, head: begun, leave: () => stream.close(8) };
  },
};

const bytes = (value: Buffer): Buffer => value;
export const grpcMethod = (path: string, responseStream = false, requestStream = false) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});

const overGrpc: ServerFace = {
  server: (handle) => {
    const server = new XdsServer();
    server.addService(
      { get: grpcMethod('/test/Get'), events: grpcMethod('/test/Events', true) },
      {
        async get(_call: unknown, done: grpc.sendUnaryData<Buffer>) {
          await handle('/');
          done(null, Buffer.from('ok'));
        },
        async events(call: grpc.ServerWritableStream<Buffer, Buffer>) {
          call.sendMetadata(new grpc.Metadata());
          await handle('/events');
          call.end();
        },
      },
    );
    return server;
  },
  ask(address, path = '/', headers = {}) {
    const client = new grpc.Client(addressKey(address), grpc.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
    const metadata = new grpc.Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const streams = path === '/events';
    let text = '';
    const call = streams
      ? client.makeServerStreamRequest('/test/Events', bytes, String, Buffer.alloc(0), metadata)
      : client.makeUnaryRequest('/test/Get', bytes, String, Buffer.alloc(0), metadata, (_, value) => {
          text = value ?? '';
        });
    call.on('error', () => {});
    call.on('data', () => {});
    const said: Record<string, string> = {};
    const take = (more: grpc.Metadata): void => {
      for (const [name, value] of Object.entries(more.getMap())) said[name] = String(value);
    };
    const head = new Promise<void>((resolve) => {
      call.on('metadata', (received) => {
        take(received);
        resolve();
      });
    });
    const told = new Promise<Told>((resolve) => {
      call.on('status', ({ code, metadata: trailers }) => {
        take(trailers);
        client.close();
        setImmediate(() => resolve({ status: code, headers: said, text }));
      });
    });
    return { told, head, leave: () => call.cancel() };
  },
};

export const SERVER_FACES: Readonly<Record<string, ServerFace>> = {
  'node:http': overHttp1,
  'node:http2': overHttp2,
  'grpc-js': overGrpc,
};

/** A handler that says when it runs, and goes on when it is told to. */
export class HeldHandler {
  readonly #waiting: (() => void)[] = [];
  readonly #go: (() => void)[] = [];
  runs = 0;

  readonly handle = (): Promise<void> => {
    this.runs++;
    for (const wake of this.#waiting.splice(0)) wake();
    return new Promise((resolve) => this.#go.push(resolve));
  };

  /** Resolves when the next request is being handled. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** All that are being handled go on. */
  go(): void {
    for (const resolve of this.#go.splice(0)) resolve();
  }
}
