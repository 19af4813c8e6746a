import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { type Ambient, ambient } from '../../../src/core/ambient.js';
import { silentLogger } from '../../../src/core/log.js';
import { type Mesh, type MeshError, meshClient } from '../../../src/index.js';
import { meshMiddleware } from '../../../src/server/express.js';
import { meshPlugin } from '../../../src/server/fastify.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../../../src/server/hono.js';
import { meshHandler } from '../../../src/server/http.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ECHO } from '../support/backend.js';

/** Stands still; but its wall time is the real one, as that is what grpc-js reckons deadlines in. */
export class StandingClock extends FakeClock {
  override wallTime(): number {
    return Date.now();
  }
}

const NAMES = ['frontend', 'reviews', 'ratings', 'stock', 'prices'] as const;
type Name = (typeof NAMES)[number];

/** One service: what came to it, and what it did. */
export class Hop {
  readonly seen: Ambient[] = [];
  /** Steps of work, in the leaves. */
  steps = 0;
  /** Requests for `/fallback`, which callers make when what they wanted has failed. */
  fallbacks = 0;

  constructor(readonly name: Name) {}
}

/**
 * Four hops: frontend (Express) -> reviews (grpc-js) -> ratings (Fastify) -> stock (Hono) and prices (node:http), each a service with a mesh of its
 * own. No handler speaks of deadlines or cancellation but those of the leaves, whose work is no call. `/answer` is answered at once, `/work` never.
 */
export class Tree {
  readonly hops = Object.fromEntries(NAMES.map((name) => [name, new Hop(name)])) as Record<Name, Hop>;
  /** Who gave up, in order. */
  readonly gaveUp: Name[] = [];
  customer!: Mesh;
  readonly #closing: (() => unknown)[] = [];

  private constructor(private readonly clock: FakeClock) {}

  static async start(clock: FakeClock): Promise<Tree> {
    const tree = new Tree(clock);
    const stock = await tree.#stock();
    const ratings = await tree.#ratings({ stock, prices: await tree.#prices() });
    const reviews = await tree.#reviews({ stock, ratings });
    const frontend = await tree.#frontend({ stock, reviews });
    tree.customer = await tree.#mesh({ frontend });
    return tree;
  }

  /** Where the work is done. */
  get leaves(): readonly [Hop, Hop] {
    return [this.hops.stock, this.hops.prices];
  }

  /** What was started last ends first. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  async #stock(): Promise<string> {
    const mesh = await this.#mesh({});
    const app = new Hono();
    app.use(honoMiddleware({ clock: this.clock, mesh }));
    app.get('/:path', async (c) => {
      const { status, text } = await this.#work('stock', c.req.path, mesh);
      return new Response(text, { status });
    });
    return this.#listen(createServer(getRequestListener(app.fetch)));
  }

  async #prices(): Promise<string> {
    const mesh = await this.#mesh({});
    const handler = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const { status, text } = await this.#work('prices', request.url ?? '', mesh);
      response.writeHead(status).end(text);
    };
    return this.#listen(createServer(meshHandler(handler, { clock: this.clock, mesh })));
  }

  async #ratings(services: Readonly<Record<'stock' | 'prices', string>>): Promise<string> {
    const mesh = await this.#mesh(services);
    const app = fastify();
    await app.register(meshPlugin, { clock: this.clock, mesh });
    app.get<{ Params: { path: string } }>('/:path', async ({ params: { path } }, reply) => {
      const both = (): Promise<string[]> =>
        Promise.all(['stock', 'prices'].map((leaf) => textOf(mesh.fetch(`http://${leaf}/${path}`))));
      try {
        return await this.#attempt('ratings', both, mesh);
      } catch (error) {
        return reply.code(500).send((error as Error).message);
      }
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    this.#closing.push(() => app.close());
    return addressOf(app.server);
  }

  async #reviews(services: Readonly<Record<'stock' | 'ratings', string>>): Promise<string> {
    const mesh = await this.#mesh(services);
    const server = new grpc.Server({ interceptors: [meshServerInterceptor({ clock: this.clock, mesh })] });
    server.addService(ECHO, {
      get: async ({ request }: grpc.ServerUnaryCall<{ path: string }, unknown>, done: grpc.sendUnaryData<unknown>) => {
        const wanted = (): Promise<string> => textOf(mesh.fetch(`http://ratings/${request.path}`));
        try {
          done(null, { from: await this.#attempt('reviews', wanted, mesh) });
        } catch (error) {
          done({ code: grpc.status.UNKNOWN, details: (error as Error).message });
        }
      },
    });
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    this.#closing.push(() => server.forceShutdown());
    return `127.0.0.1:${port}`;
  }

  async #frontend(services: Readonly<Record<'stock' | 'reviews', string>>): Promise<string> {
    const mesh = await this.#mesh(services);
    const client = mesh.grpc(grpc.makeGenericClientConstructor(ECHO, 'Echo'), 'reviews') as unknown as {
      get(request: unknown, done: (error: Error | null, reply: unknown) => void): void;
    };
    const app = express();
    app.use(meshMiddleware({ clock: this.clock, mesh }));
    app.get('/:path', async ({ params: { path } }, response) => {
      const wanted = (): Promise<unknown> =>
        new Promise((resolve, reject) =>
          client.get({ path }, (error, reply) => (error === null ? resolve(reply) : reject(error))),
        );
      try {
        response.json(await this.#attempt('frontend', wanted, mesh));
      } catch (error) {
        response.status(500).send((error as Error).message);
      }
    });
    return this.#listen(createServer(app));
  }

  /** What a handler does that knows of nothing: when it fails, it tries something else. */
  async #attempt<T>(name: Name, wanted: () => Promise<T>, mesh: Mesh): Promise<T> {
    this.#arrived(name);
    try {
      return await wanted();
    } catch (error) {
      this.gaveUp.push(name);
      await mesh.fetch('http://stock/fallback').catch(() => {});
      throw error;
    }
  }

  /** What a leaf answers: it gives up when its signal says so. */
  async #work(name: 'stock' | 'prices', path: string, mesh: Mesh): Promise<{ status: number; text: string }> {
    const hop = this.hops[name];
    if (path === '/fallback') hop.fallbacks++;
    this.#arrived(name);
    const signal = mesh.signal();
    while (path === '/work' && !signal.aborted) {
      hop.steps++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (!signal.aborted) return { status: 200, text: name };
    this.gaveUp.push(name);
    return { status: 500, text: `${name}: ${(signal.reason as MeshError).code}` };
  }

  #arrived(name: Name): void {
    const context = ambient();
    if (context !== undefined) this.hops[name].seen.push(context);
  }

  async #mesh(addresses: Readonly<Record<string, string>>): Promise<Mesh> {
    const services = Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, [address]]));
    const mesh = meshClient({ services, clock: this.clock, logger: silentLogger });
    this.#closing.push(() => mesh.close());
    await mesh.ready();
    return mesh;
  }

  async #listen(server: Server): Promise<string> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    this.#closing.push(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    return addressOf(server);
  }
}

async function textOf(replying: Promise<Response>): Promise<string> {
  const reply = await replying;
  const text = await reply.text();
  if (!reply.ok) throw new Error(text);
  return text;
}

const addressOf = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;
