import {
  createServer,
  type IncomingMessage,
  request,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import {
  type ClientHttp2Session,
  connect,
  constants,
  createServer as createHttp2Server,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Ambient, ambient } from '../../src/core/ambient.js';
import { meshMiddleware } from '../../src/server/express.js';
import { meshPlugin } from '../../src/server/fastify.js';
import { meshHandler } from '../../src/server/http.js';
import { FakeClock } from '../support/fake-clock.js';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const HEADERS = { traceparent: TRACEPARENT, baggage: 'user=7', 'x-envoy-expected-rq-timeout-ms': '250' };
const clock = new FakeClock(1_000);

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(undefined)));
});

async function listen(listener: RequestListener): Promise<number> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const post = (port: number): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { ...HEADERS, 'content-type': 'application/json' },
    body: '{"a":1}',
  });

const expected = { traceparent: TRACEPARENT, baggage: 'user=7', deadline: 1_250 };

describe('a handler', () => {
  test('of node:http runs inside the context of its request, also after it has waited', async () => {
    let seen: Ambient | undefined;
    const port = await listen(
      meshHandler(
        async (req: IncomingMessage, res: ServerResponse) => {
          for await (const _ of req);
          seen = ambient();
          res.end();
        },
        { clock },
      ),
    );
    expect((await post(port)).status).toBe(200);
    expect(seen).toMatchObject(expected);
    expect(seen?.cancellation?.cancelled).toBe(false);
  });

  test('of Express does, behind a body parser and an asynchronous middleware', async () => {
    let seen: Ambient | undefined;
    const app = express();
    app.use(meshMiddleware({ clock }), express.json());
    app.use((_req, _res, next) => void Promise.resolve().then(() => next()));
    app.post('/', (_req, res) => {
      seen = ambient();
      res.end();
    });
    expect((await post(await listen(app))).status).toBe(200);
    expect(seen).toMatchObject(expected);
  });

  test('of Fastify does, behind its body parser and in an encapsulated plugin', async () => {
    let seen: Ambient | undefined;
    const app = fastify();
    await app.register(meshPlugin, { clock });
    await app.register(async (inner) => {
      inner.post('/', async () => {
        await Promise.resolve();
        seen = ambient();
        return {};
      });
    });
    await app.listen({ port: 0, host: '127.0.0.1' });
    expect((await post((app.server.address() as AddressInfo).port)).status).toBe(200);
    expect(seen).toMatchObject(expected);
    await app.close();
  });

  test('sees no context of another request', async () => {
    const port = await listen(
      meshHandler(async (_req: IncomingMessage, res: ServerResponse) => {
        await new Promise((resolve) => setImmediate(resolve));
        res.end(ambient()?.baggage);
      }),
    );
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { baggage: `n=${i}` } });
        return response.text();
      }),
    );
    expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => `n=${i}`));
  });
});

describe('cancellation', () => {
  /** A server that tells of each context, and answers when told. */
  async function slow() {
    let context: Ambient | undefined;
    let arrived: () => void = () => {};
    let answer: () => void = () => {};
    const here = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const port = await listen(
      meshHandler((_req: IncomingMessage, res: ServerResponse) => {
        context = ambient();
        answer = () => res.end('done');
        arrived();
      }),
    );
    return { port, here, answer: () => answer(), context: () => context };
  }

  test('fires when the client goes away before it has its answer', async () => {
    const { port, here, context } = await slow();
    const client = request({ port, host: '127.0.0.1' });
    client.on('error', () => {});
    client.end();
    await here;
    const reason = new Promise((resolve) => context()?.cancellation?.add(resolve));
    client.destroy();
    expect(await reason).toMatchObject({ code: 'CANCELLED', origin: 'workload' });
  });

  test('has fired when the client went away before the middleware was reached', async () => {
    let context: Ambient | undefined;
    const inner = meshHandler(() => {
      context = ambient();
    });
    let leave: () => void = () => {};
    let served: () => void = () => {};
    const done = new Promise<void>((resolve) => {
      served = resolve;
    });
    const port = await listen((req, res) => {
      res.once('close', () => {
        setImmediate(() => {
          inner(req, res);
          served();
        });
      });
      leave();
    });
    const client = request({ port, host: '127.0.0.1' });
    client.on('error', () => {});
    leave = () => client.destroy();
    client.end();
    await done;
    expect(context?.cancellation?.reason).toMatchObject({ code: 'CANCELLED' });
  });

  test('does not fire once the answer is out', async () => {
    const { port, here, answer, context } = await slow();
    const response = fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
    await here;
    answer();
    expect(await (await response).text()).toBe('done');
    await new Promise((resolve) => server?.close(resolve));
    expect(context()?.cancellation?.cancelled).toBe(false);
  });
});

describe('over HTTP/2', () => {
  let contexts: (Ambient | undefined)[];
  let reached: (() => void) | undefined;
  let plain: Http2Server;
  let session: ClientHttp2Session;

  beforeEach(async () => {
    contexts = [];
    plain = createHttp2Server(
      meshHandler((request: Http2ServerRequest, response: Http2ServerResponse) => {
        contexts.push(ambient());
        if (request.url === '/answer') response.end('done');
        reached?.();
      }),
    );
    await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve));
    session = connect(`http://127.0.0.1:${(plain.address() as AddressInfo).port}`);
  });
  afterEach(() => {
    session.destroy();
    plain.close();
  });

  test('the context is cancelled when the client resets the stream, and not when it has its answer', async () => {
    const answered = session.request({ ':path': '/answer' }).resume();
    await new Promise((resolve) => answered.once('close', resolve));
    const here = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const stream = session.request({ ':path': '/never' });
    stream.on('error', () => {});
    await here;
    const reason = new Promise((resolve) => contexts[1]?.cancellation?.add(resolve));
    stream.close(constants.NGHTTP2_CANCEL);
    expect(await reason).toMatchObject({ code: 'CANCELLED' });
    expect(contexts[0]?.cancellation?.cancelled).toBe(false);
  });

  test('the context of a stream that the client has reset already is cancelled', async () => {
    let context: Ambient | undefined;
    const inner = meshHandler((_request: Http2ServerRequest, _response: Http2ServerResponse) => {
      context = ambient();
    });
    plain.removeAllListeners('request');
    const served = new Promise<void>((resolve) => {
      plain.on('request', (request, response) => {
        response.once('close', () => {
          setImmediate(() => {
            inner(request, response);
            resolve();
          });
        });
        stream.close(constants.NGHTTP2_CANCEL);
      });
    });
    const stream = session.request({ ':path': '/never' });
    stream.on('error', () => {});
    await served;
    expect(context?.cancellation?.reason).toMatchObject({ code: 'CANCELLED' });
  });
});

test('a middleware that is mounted twice goes on with the same context', async () => {
  const seen: (Ambient | undefined)[] = [];
  const app = express();
  app.use(meshMiddleware());
  app.use((_req, _res, next) => {
    seen.push(ambient());
    next();
  });
  app.use(meshMiddleware());
  app.get('/', (_req, res) => {
    seen.push(ambient());
    res.end();
  });
  await fetch(`http://127.0.0.1:${await listen(app)}/`);
  expect(seen[0]).toBeDefined();
  expect(seen[0]).toBe(seen[1]);
});
