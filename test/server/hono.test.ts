import { createServer, type Server } from 'node:http';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { afterEach, describe, expect, test } from 'vitest';
import { type Ambient, ambient } from '../../src/core/ambient.js';
import { MetricRecorder } from '../../src/server/orca/index.js';
import { meshMiddleware } from '../../src/server/hono.js';
import { FakeClock } from '../support/fake-clock.js';

const TRACEPARENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const HEADERS = {
  traceparent: TRACEPARENT,
  baggage: 'user=7',
  'inmesh-timeout-ms': '250',
  'inmesh-priority': 'batch',
};
const EXPECTED = { traceparent: TRACEPARENT, baggage: 'user=7', deadline: 1_250, priority: 'batch' };

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => (server?.listening ? server.close(resolve) : resolve(undefined)));
});

async function listen(app: Hono): Promise<number> {
  server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe('on @hono/node-server', () => {
  test('a handler runs inside the context of its request, behind its body and other middleware', async () => {
    let seen: Ambient | undefined;
    const app = new Hono();
    app.use(meshMiddleware({ clock: new FakeClock(1_000) }));
    app.use(async (_c, next) => {
      await Promise.resolve();
      await next();
    });
    app.post('/', async (c) => {
      const body = await c.req.json<{ a: number }>();
      seen = ambient();
      return c.json(body);
    });
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/`, {
      method: 'POST',
      headers: HEADERS,
      body: '{"a":1}',
    });
    expect(await response.json()).toEqual({ a: 1 });
    expect(seen).toMatchObject(EXPECTED);
    expect(seen?.cancellation?.cancelled).toBe(false);
  });

  test('the context is cancelled when the client goes away before it has its answer', async () => {
    let arrived: (context: Ambient | undefined) => void = () => {};
    const here = new Promise<Ambient | undefined>((resolve) => {
      arrived = resolve;
    });
    const app = new Hono();
    app.use(meshMiddleware());
    app.get('/', () => {
      arrived(ambient());
      return new Promise<Response>(() => {});
    });
    const client = request({ port: await listen(app), host: '127.0.0.1' });
    client.on('error', () => {});
    client.end();
    const context = await here;
    const reason = new Promise((resolve) => context?.cancellation?.add(resolve));
    client.destroy();
    expect(await reason).toMatchObject({ code: 'CANCELLED' });
  });

  test('replies tell how loaded the server is, when that is asked for', async () => {
    const recorder = new MetricRecorder();
    recorder.setNamedMetric('queue', 3);
    const app = new Hono();
    app.use(meshMiddleware({ orca: { recorder } }));
    app.get('/', (c) => c.text('ok'));
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/`);
    expect(response.headers.get('endpoint-load-metrics')).toContain('"queue":3');
  });
});

describe('on other servers', () => {
  test('a handler runs inside the context of its request, whose signal cancels it', async () => {
    let seen: Ambient | undefined;
    const app = new Hono();
    app.use(meshMiddleware({ clock: new FakeClock(1_000) }));
    app.get('/', (c) => {
      seen = ambient();
      return c.text('ok');
    });
    const caller = new AbortController();
    const response = await app.request('/', { headers: HEADERS, signal: caller.signal });
    expect([response.status, seen]).toMatchObject([200, EXPECTED]);
    caller.abort();
    expect(seen?.cancellation?.cancelled).toBe(true);
  });

  test('a request whose caller has gone already is cancelled from the beginning', async () => {
    let seen: Ambient | undefined;
    const app = new Hono();
    app.use(meshMiddleware());
    app.get('/', (c) => {
      seen = ambient();
      return c.text('ok');
    });
    await app.request('/', { signal: AbortSignal.abort() });
    expect(seen?.cancellation?.cancelled).toBe(true);
  });
});
