/*
 * A customer gives up on a tree of four hops and four frameworks, by itself or as its time is up: how long the leaves go on, and how much they do that
 * nobody waits for. Frontend (Express) -> reviews (grpc-js) -> ratings (Fastify) -> stock (Hono) and prices (node:http); all in one process, over
 * sockets. Beside it the same handlers on plain fetch and grpc-js, whose leaves look whether their connection was closed, as ours look at a signal.
 */
import { once } from 'node:events';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener, type HttpBindings } from '@hono/node-server';
import * as grpc from '@grpc/grpc-js';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { type Mesh, meshClient, meshHandler } from '../src/index.js';
import { meshMiddleware } from '../src/server/express.js';
import { meshPlugin } from '../src/server/fastify.js';
import { meshServerInterceptor } from '../src/server/grpc.js';
import { meshMiddleware as honoMiddleware } from '../src/server/hono.js';
import { type Comparison, median, report, SMOKE } from './lib/compare.js';
import { ECHO } from './lib/echo.js';

const REQUESTS = SMOKE ? 2 : 40;
/** What a leaf does for one request: so many steps of so many milliseconds. */
const STEPS = 50;
const STEP_MS = 5;
const GIVES_UP_AFTER_MS = 50;

/** What handlers are written against: the mesh, or what everybody has. */
interface Kit {
  readonly mesh: Mesh | undefined;
  fetch(service: string): Promise<Response>;
  /** A client of the gRPC service. */
  grpc(service: string): grpc.Client;
  /** Fires when a leaf need not go on. */
  signal(response: ServerResponse): AbortSignal;
  customer(signal: AbortSignal | undefined): Promise<unknown>;
}

type Addresses = Record<string, string>;

function meshKit(addresses: Addresses): Kit {
  const services = Object.fromEntries(Object.entries(addresses).map(([name, address]) => [name, [address]]));
  const mesh = meshClient({ services });
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  return {
    mesh,
    fetch: (service) => mesh.fetch(`http://${service}/`),
    grpc: (service) => mesh.grpc(Echo, service),
    signal: () => mesh.signal(),
    customer: (signal) =>
      mesh.fetch('http://frontend/', signal === undefined ? { mesh: { timeoutMs: GIVES_UP_AFTER_MS } } : { signal }),
  };
}

function plainKit(addresses: Addresses): Kit {
  const Echo = grpc.makeGenericClientConstructor(ECHO, 'Echo');
  return {
    mesh: undefined,
    fetch: (service) => fetch(`http://${addresses[service]}/`),
    grpc: (service) => new Echo(addresses[service] as string, grpc.credentials.createInsecure()),
    signal: (response) => {
      const controller = new AbortController();
      response.once('close', () => controller.abort());
      return controller.signal;
    },
    customer: (signal) =>
      fetch(`http://${addresses['frontend']}/`, { signal: signal ?? AbortSignal.timeout(GIVES_UP_AFTER_MS) }),
  };
}

/** What the leaves did for the request of now. */
interface Watch {
  working: number;
  ended: number;
  gaveUpAt: number;
  /** When each leaf knew, or was through. */
  readonly knewAt: number[];
  /** Steps begun after the customer had given up. */
  wasted: number;
}

let watch: Watch;

async function work(signal: AbortSignal): Promise<void> {
  const now = watch;
  now.working++;
  let known = false;
  const know = (): void => {
    if (!known) now.knewAt.push(performance.now());
    known = true;
  };
  signal.addEventListener('abort', know, { once: true });
  for (let step = 0; step < STEPS && !signal.aborted; step++) {
    const beganAt = performance.now();
    await sleep(STEP_MS);
    if (now.gaveUpAt < beganAt) now.wasted++;
  }
  know();
  now.ended++;
}

async function startTree(
  kitOf: (addresses: Addresses) => Kit,
): Promise<{ customer: Kit['customer']; close(): Promise<void> }> {
  const addresses: Addresses = {};
  const kits: Kit[] = [];
  const closing: (() => unknown)[] = [];
  const kit = (): Kit => {
    const made = kitOf(addresses);
    kits.push(made);
    return made;
  };
  const listen = async (name: string, listener: RequestListener): Promise<void> => {
    const server = createServer(listener).listen(0, '127.0.0.1');
    await once(server, 'listening');
    addresses[name] = addressOf(server);
    closing.push(() => {
      server.close();
      server.closeAllConnections();
    });
  };

  const stock = kit();
  const hono = new Hono<{ Bindings: HttpBindings }>();
  if (stock.mesh !== undefined) hono.use(honoMiddleware({ mesh: stock.mesh }));
  hono.get('/', async (c) => {
    await work(stock.signal(c.env.outgoing as ServerResponse));
    return c.text('stock');
  });
  await listen('stock', getRequestListener(hono.fetch));

  const prices = kit();
  const answer: RequestListener = async (_request, response) => {
    await work(prices.signal(response));
    response.end('prices');
  };
  await listen('prices', prices.mesh === undefined ? answer : meshHandler(answer, { mesh: prices.mesh }));

  const ratings = kit();
  const app = fastify({ forceCloseConnections: true });
  if (ratings.mesh !== undefined) await app.register(meshPlugin, { mesh: ratings.mesh });
  app.get('/', async () => {
    const replies = await Promise.all([ratings.fetch('stock'), ratings.fetch('prices')]);
    return Promise.all(replies.map((reply) => reply.text()));
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  addresses['ratings'] = addressOf(app.server);
  closing.push(() => app.close());

  const reviews = kit();
  const server = new grpc.Server(
    reviews.mesh === undefined ? {} : { interceptors: [meshServerInterceptor({ mesh: reviews.mesh })] },
  );
  server.addService(ECHO, {
    get: (_call: unknown, done: grpc.sendUnaryData<Buffer>) =>
      reviews
        .fetch('ratings')
        .then((reply) => reply.arrayBuffer())
        .then(
          (bytes) => done(null, Buffer.from(bytes)),
          (error: Error) => done({ code: grpc.status.UNAVAILABLE, details: error.message }),
        ),
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  addresses['reviews'] = `127.0.0.1:${port}`;
  closing.push(() => server.forceShutdown());

  const frontend = kit();
  const client = frontend.grpc('reviews');
  closing.push(() => client.close());
  const get = (client as unknown as { get: (...args: unknown[]) => void }).get.bind(client);
  const site = express();
  if (frontend.mesh !== undefined) site.use(meshMiddleware({ mesh: frontend.mesh }));
  site.get('/', (_request, response) =>
    get(Buffer.alloc(1), (error: Error | null, reply: Buffer) => {
      if (error === null) response.send(reply);
      else response.status(503).send(error.message);
    }),
  );
  await listen('frontend', site);

  const { customer, mesh } = kit();
  await mesh?.ready();
  return {
    customer,
    async close() {
      for (const close of closing) await close();
      await Promise.all(kits.map((made) => made.mesh?.close()));
    },
  };
}

const addressOf = (server: Server): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

interface Result {
  /** Milliseconds from when the customer gave up until the last leaf knew; median. */
  readonly knewAfterMs: number;
  /** Steps done after that, a request. */
  readonly wasted: number;
}

async function measure(customer: Kit['customer'], by: 'itself' | 'deadline'): Promise<Result> {
  const after: number[] = [];
  let wasted = 0;
  for (let i = 0; i < REQUESTS; i++) {
    watch = { working: 0, ended: 0, gaveUpAt: Number.POSITIVE_INFINITY, knewAt: [], wasted: 0 };
    const controller = new AbortController();
    const gone = customer(by === 'itself' ? controller.signal : undefined).then(
      () => {},
      () => {},
    );
    while (watch.working < 2) await sleep(1);
    if (by === 'itself') {
      // At any moment of a step: all here share one clock, and would go on in time with each other.
      await sleep(GIVES_UP_AFTER_MS + (i % STEP_MS));
      watch.gaveUpAt = performance.now();
      controller.abort();
    }
    await gone;
    if (by === 'deadline') watch.gaveUpAt = performance.now();
    while (watch.ended < 2) await sleep(1);
    after.push(Math.max(...watch.knewAt) - watch.gaveUpAt);
    wasted += watch.wasted;
  }
  return { knewAfterMs: median(after), wasted: wasted / REQUESTS };
}

const SIDES = { 'fetch and grpc-js': plainKit, inmesh: meshKit };

const results: Record<string, Record<'itself' | 'deadline', Result>> = {};
for (const [name, kitOf] of Object.entries(SIDES)) {
  const tree = await startTree(kitOf);
  results[name] = {
    itself: await measure(tree.customer, 'itself'),
    deadline: await measure(tree.customer, 'deadline'),
  };
  await tree.close();
}

function comparison(
  question: string,
  unit: string,
  read: (of: Record<'itself' | 'deadline', Result>) => number,
): Comparison {
  const base = read(results['fetch and grpc-js'] as Record<'itself' | 'deadline', Result>);
  const rows = Object.entries(results).map(([name, of]) => ({ name, value: read(of), ratio: read(of) / base }));
  return { question, unit, rows };
}

report(
  comparison('the customer goes away: until the last leaf knows', 'ms, median', (of) => of.itself.knewAfterMs),
  comparison(
    'the customer goes away: work that nobody waits for',
    `steps of ${STEP_MS} ms a request`,
    (of) => of.itself.wasted,
  ),
  comparison(
    "the customer's time is up: until the last leaf knows, below 0 before",
    'ms, median',
    (of) => of.deadline.knewAfterMs,
  ),
  comparison(
    "the customer's time is up: work that nobody waits for",
    `steps of ${STEP_MS} ms a request`,
    (of) => of.deadline.wasted,
  ),
);
process.exit();
