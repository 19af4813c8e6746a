import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { serve } from '@hono/node-server';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Caller } from '../../src/server/caller.js';
import { meshMiddleware } from '../../src/server/express.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import { meshHandler } from '../../src/server/http.js';
import type { InboundOptions } from '../../src/server/inbound.js';

/** What comes before the middleware answers while a gate waits: a time limit of the application's own, say. An error that nobody awaits fails the run. */

/** A gate that waits: says when it does, and goes on when it is told to. */
class Waiting {
  go: (caller: Caller) => void = () => {};
  reached: () => void = () => {};
  readonly waits = new Promise<void>((resolve) => {
    this.reached = resolve;
  });
  /** Whether the gate goes on as soon as the answer is given, before it is out. */
  atOnce = false;

  /** Answers once the gate waits. */
  whenItWaits(answer: () => void): void {
    void this.waits.then(() => {
      answer();
      if (this.atOnce) this.go({});
    });
  }

  readonly options: InboundOptions = {
    // A limit that refuses all but the first: what is refused late is answered by nobody either.
    limits: { requests: 1, perMs: 60_000 },
    caller: () => {
      this.reached();
      return new Promise((resolve) => {
        this.go = resolve;
      });
    },
  };
}

let waiting: Waiting;
const closing: (() => unknown)[] = [];
const lost: unknown[] = [];
const lose = (error: unknown): void => void lost.push(error);

beforeEach(() => {
  waiting = new Waiting();
  lost.length = 0;
  process.on('unhandledRejection', lose);
});
afterEach(async () => {
  process.off('unhandledRejection', lose);
  for (const close of closing.splice(0)) await close();
});

async function on(listener: RequestListener): Promise<number> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

const over1 = async (port: number): Promise<string> => (await fetch(`http://127.0.0.1:${port}/`)).text();

/** Starts a server that answers `late` while the gate waits, and asks it. */
const SERVERS: Record<string, (handled: () => void) => Promise<() => Promise<string>>> = {
  'node:http': async (handled) => {
    const inner = meshHandler(handled, waiting.options);
    const port = await on((request, response) => {
      void inner(request, response);
      waiting.whenItWaits(() => response.end('late'));
    });
    return () => over1(port);
  },
  'node:http2': async (handled) => {
    const inner = meshHandler(handled, waiting.options);
    const server = createHttp2Server((request, response) => {
      void inner(request, response);
      waiting.whenItWaits(() => response.end('late'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    closing.push(() => {
      session.destroy();
      server.close();
    });
    return async () => {
      let text = '';
      for await (const chunk of session.request({ ':path': '/' })) text += chunk;
      return text;
    };
  },
  Express: async (handled) => {
    const app = express();
    app.use((_req, res, next) => {
      waiting.whenItWaits(() => res.end('late'));
      next();
    });
    app.use(meshMiddleware(waiting.options));
    app.use((_req, res) => {
      handled();
      res.send('ok');
    });
    const port = await on(app);
    return () => over1(port);
  },
  Fastify: async (handled) => {
    const app = fastify();
    app.addHook('onRequest', (_request, reply, done) => {
      waiting.whenItWaits(() => reply.send('late'));
      done();
    });
    await app.register(meshPlugin, waiting.options);
    app.get('/', async () => {
      handled();
      return 'ok';
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    closing.push(() => app.close());
    return () => over1((app.server.address() as AddressInfo).port);
  },
  Hono: async (handled) => {
    const app = new Hono();
    app.use(async (c, next) => {
      const rest = next();
      await waiting.waits;
      void rest;
      return c.text('late');
    });
    app.use(honoMiddleware(waiting.options));
    app.get('/', (c) => {
      handled();
      return c.text('ok');
    });
    const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server;
    closing.push(() => server.close());
    if (!server.listening) await new Promise((resolve) => server.once('listening', resolve));
    return () => over1((server.address() as AddressInfo).port);
  },
};

test.each(Object.keys(SERVERS).flatMap((name) => [false, true].map((atOnce) => [name, atOnce] as const)))(
  '%s: a request that was answered while a gate waited is left alone; gate goes on at once: %s',
  async (name, atOnce) => {
    let handled = 0;
    const start = SERVERS[name] as (typeof SERVERS)[string];
    waiting.atOnce = atOnce;
    const ask = await start(() => {
      handled++;
    });
    for (const _ of ['let in', 'refused']) {
      expect(await ask()).toBe('late');
      waiting.go({});
      for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
    }
    expect([lost, handled]).toEqual([[], 0]);
  },
);
