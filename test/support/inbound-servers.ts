import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { meshMiddleware } from '../../src/server/express.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshServerInterceptor } from '../../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import type { InboundOptions } from '../../src/server/inbound.js';

/** Runs when a request is handled; the answer waits for it. It answers with the status of a `WithStatus`. */
export type Handled = () => unknown;

/** What a handler resolves with, to answer with another status than success. */
export class WithStatus {
  constructor(readonly status: number) {}
}

const statusOf = (given: unknown, otherwise: number): number =>
  given instanceof WithStatus ? given.status : otherwise;

/** A server with the middleware of its framework. */
export interface InboundServer {
  readonly port: number;
  close(): unknown;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

const running = (server: Server): InboundServer => ({
  port: portOf(server),
  close() {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  },
});

export async function listening(listener: RequestListener): Promise<InboundServer> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return running(server);
}

/** By framework; each answers `ok`. */
export const FRAMEWORKS: Record<string, (handled: Handled, options: InboundOptions) => Promise<InboundServer>> = {
  'node:http': (handled, options) =>
    listening(
      meshHandler(async (_req: IncomingMessage, res: ServerResponse) => {
        res.statusCode = statusOf(await handled(), 200);
        res.end('ok');
      }, options),
    ),
  Express: (handled, options) => {
    const app = express();
    app.use(meshMiddleware(options));
    app.use(async (_req, res) => {
      res.status(statusOf(await handled(), 200));
      res.send('ok');
    });
    return listening(app);
  },
  Fastify: async (handled, options) => {
    const app = fastify();
    await app.register(meshPlugin, options);
    app.all('/*', async (_, reply) => {
      reply.code(statusOf(await handled(), 200));
      return 'ok';
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    return running(app.server);
  },
  Hono: async (handled, options) => {
    const app = new Hono();
    app.use(honoMiddleware(options));
    app.all('*', async (c) => {
      return c.text('ok', statusOf(await handled(), 200) as 200);
    });
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server;
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    return running(server);
  },
};

const text = (value: string): Buffer => Buffer.from(value);
const method = (name: string, requestStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream: requestStream,
  requestSerialize: text,
  requestDeserialize: String,
  responseSerialize: text,
  responseDeserialize: String,
});
const ECHO = { unary: method('unary', false), bidi: method('bidi', true) };

/** A grpc-js server with the interceptor, which answers `ok` and ends streams, and a client of it. */
export class EchoGrpc {
  static async start(handled: Handled, options: InboundOptions): Promise<EchoGrpc> {
    const server = new grpc.Server({ interceptors: [meshServerInterceptor(options)] });
    server.addService(ECHO, {
      async unary(_call: unknown, callback: grpc.sendUnaryData<string>) {
        const code = statusOf(await handled(), grpc.status.OK);
        if (code === grpc.status.OK) callback(null, 'ok');
        else callback({ code });
      },
      async bidi(call: grpc.ServerDuplexStream<string, string>) {
        await handled();
        call.end();
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    return new EchoGrpc(server, port, new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure()));
  }

  private constructor(
    private readonly server: grpc.Server,
    readonly port: number,
    private readonly client: grpc.Client,
  ) {}

  /** `started` is told of the call, for who wants to cancel it. */
  unary(metadata = new grpc.Metadata(), started?: (call: grpc.ClientUnaryCall) => void): Promise<string | undefined> {
    return new Promise((resolve, reject) => {
      const call = this.client.makeUnaryRequest(ECHO.unary.path, text, String, 'x', metadata, (error, value) =>
        error ? reject(error) : resolve(value),
      );
      started?.(call);
    });
  }

  bidi(metadata = new grpc.Metadata()): grpc.ClientDuplexStream<string, string> {
    return this.client.makeBidiStreamRequest<string, string>(ECHO.bidi.path, text, String, metadata);
  }

  close(): void {
    this.client.close();
    this.server.forceShutdown();
  }
}
