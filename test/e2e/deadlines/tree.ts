import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { type Ambient, ambient } from '../../../src/core/ambient.js';
import { type Mesh, type MeshError, meshClient } from '../../../src/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { meshMiddleware } from '../../../src/server/express.js';
import { meshPlugin } from '../../../src/server/fastify.js';
import { meshServerInterceptor } from '../../../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../../../src/server/hono.js';
import { meshHandler } from '../../../src/server/http.js';
import { ECHO } from '../support/backend.js';
import { FakeClock } from '../../support/fake-clock.js';

/** Stands still; but its wall time is the real one, as that is what grpc-js reckons deadlines in. */
export class StandingClock extends FakeClock {
  override wallTime(): number {
    return Date.now();
  }
}

/** One service: what came to it, and what became of the calls that it made. */
export interface Hop {
  readonly name: string;
  readonly seen: Ambient[];
  /** Steps of work done, in the leaves. */
  steps: number;
  /** Requests for `/fallback`, which its callers make when what they wanted has failed. */
  fallbacks: number;
}

/**
 * Four hops: frontend (Express) -> reviews (grpc-js) -> ratings (Fastify) -> stock (Hono) and prices (node:http), each a service with a mesh of its
 * own. No handler speaks of deadlines or cancellation but the leaves, whose work is no call. `/answer` is answered by the leaves at once, `/work` never.
 */
export class Tree {
  readonly hops: readonly Hop[];
  readonly customer: Mesh;
  /** Who gave up, in order. */
  readonly gaveUp: string[] = [];
  readonly #closing: (() => unknown)[];

  private constructor(hops: Record<string, Hop>, customer: Mesh, closing: (() => unknown)[], gaveUp: string[]) {
    this.hops = Object.values(hops);
    this.customer = customer;
    this.gaveUp = gaveUp;
    this.#closing = closing;
  }

  hop(name: string): Hop {
    return this.hops.find((hop) => hop.name === name) as Hop;
  }

  /** The leaves: where work is done. */
  get leaves(): readonly [Hop, Hop] {
    return [this.hop('stock'), this.hop('prices')];
  }

  async close(): Promise<void> {
    for (const close of this.#closing) await close();
  }

  static async start(clock: FakeClock): Promise<Tree> {
    const closing: (() => unknown)[] = [];
    const gaveUp: string[] = [];
    const hops: Record<string, Hop> = {};
    for (const name of ['frontend', 'reviews', 'ratings', 'stock', 'prices']) {
      hops[name] = { name, seen: [], steps: 0, fallbacks: 0 };
    }
    const hopOf = (name: string): Hop => hops[name] as Hop;
    const meshOf = async (services: Record<string, readonly string[]>): Promise<Mesh> => {
      const mesh = meshClient({ services, clock, logger: silentLogger });
      closing.unshift(() => mesh.close());
      await mesh.ready();
      return mesh;
    };
    const arrived = (name: string): void => {
      const context = ambient();
      if (context !== undefined) hopOf(name).seen.push(context);
    };
    /** What a handler is that knows of nothing: when it fails it tries something else. */
    const withFallback = async <T>(
      name: string,
      wanted: () => Promise<T>,
      instead: () => Promise<unknown>,
    ): Promise<T> => {
      try {
        return await wanted();
      } catch (error) {
        gaveUp.push(name);
        await instead().catch(() => {});
        throw error;
      }
    };

    /** What a leaf answers: it gives up when its signal says so. */
    const workAt = async (name: string, path: string, mesh: Mesh): Promise<{ status: number; text: string }> => {
      const hop = hopOf(name);
      if (path === '/fallback') hop.fallbacks++;
      arrived(name);
      const signal = mesh.signal();
      while (path === '/work' && !signal.aborted) {
        hop.steps++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (!signal.aborted) return { status: 200, text: name };
      gaveUp.push(name);
      return { status: 500, text: `${name}: ${(signal.reason as MeshError).code}` };
    };

    const stockMesh = await meshOf({});
    const hono = new Hono();
    hono.use(honoMiddleware({ clock, mesh: stockMesh }));
    hono.get('/:path', async (c) => {
      const { status, text } = await workAt('stock', c.req.path, stockMesh);
      return new Response(text, { status });
    });
    const stock = await listening(createServer(getRequestListener(hono.fetch)), closing);

    const pricesMesh = await meshOf({});
    const prices = await listening(
      createServer(
        meshHandler(
          async (request: IncomingMessage, response: ServerResponse) => {
            const { status, text } = await workAt('prices', request.url ?? '', pricesMesh);
            response.writeHead(status).end(text);
          },
          { clock, mesh: pricesMesh },
        ),
      ),
      closing,
    );

    const ratingsMesh = await meshOf({ stock: [stock], prices: [prices] });
    const ratings = fastify();
    await ratings.register(meshPlugin, { clock, mesh: ratingsMesh });
    ratings.get<{ Params: { path: string } }>('/:path', async (request, reply) => {
      arrived('ratings');
      const leaf = (name: string): Promise<string> =>
        textOf(ratingsMesh.fetch(`http://${name}/${request.params.path}`));
      const both = (): Promise<string[]> => Promise.all([leaf('stock'), leaf('prices')]);
      try {
        return await withFallback('ratings', both, () => ratingsMesh.fetch('http://stock/fallback'));
      } catch (error) {
        return reply.code(500).send((error as Error).message);
      }
    });
    await ratings.listen({ port: 0, host: '127.0.0.1' });
    closing.unshift(() => ratings.close());
    const ratingsAt = addressOf(ratings.server);

    const reviewsMesh = await meshOf({ ratings: [ratingsAt], stock: [stock] });
    const reviews = new grpc.Server({ interceptors: [meshServerInterceptor({ clock, mesh: reviewsMesh })] });
    reviews.addService(ECHO, {
      get: async (call: grpc.ServerUnaryCall<{ path: string }, unknown>, done: grpc.sendUnaryData<unknown>) => {
        arrived('reviews');
        const wanted = (): Promise<string> => textOf(reviewsMesh.fetch(`http://ratings/${call.request.path}`));
        try {
          done(null, { from: await withFallback('reviews', wanted, () => reviewsMesh.fetch('http://stock/fallback')) });
        } catch (error) {
          done({ code: grpc.status.DEADLINE_EXCEEDED, details: (error as Error).message });
        }
      },
    });
    const reviewsPort = await new Promise<number>((resolve, reject) =>
      reviews.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    closing.unshift(() => reviews.forceShutdown());

    const frontendMesh = await meshOf({ reviews: [`127.0.0.1:${reviewsPort}`], stock: [stock] });
    const Reviews = grpc.makeGenericClientConstructor(ECHO, 'Echo');
    const client = frontendMesh.grpc(Reviews, 'reviews') as unknown as {
      get(request: unknown, done: (error: Error | null, reply: unknown) => void): void;
    };
    const frontend = express();
    frontend.use(meshMiddleware({ clock, mesh: frontendMesh }));
    frontend.get('/:path', async (request, response) => {
      arrived('frontend');
      const wanted = (): Promise<unknown> =>
        new Promise((resolve, reject) =>
          client.get({ path: request.params.path }, (error, reply) =>
            error === null ? resolve(reply) : reject(error),
          ),
        );
      try {
        response.json(await withFallback('frontend', wanted, () => frontendMesh.fetch('http://stock/fallback')));
      } catch (error) {
        response.status(500).send((error as Error).message);
      }
    });
    const frontendAt = await listening(createServer(frontend), closing);

    const customer = await meshOf({ frontend: [frontendAt] });
    return new Tree(hops, customer, closing, gaveUp);
  }
}

async function textOf(replying: Promise<Response>): Promise<string> {
  const reply = await replying;
  const text = await reply.text();
  if (!reply.ok) throw new Error(text);
  return text;
}

const addressOf = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

async function listening(server: Server, closing: (() => unknown)[]): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return addressOf(server);
}
