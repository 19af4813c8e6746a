import express from 'express';
import { Hono } from 'hono';
import { afterEach, expect, test, vi } from 'vitest';
import { type Ambient, ambient } from '../../src/core/ambient.js';
import { type MeshEvent, noMeter } from '../../src/core/meter.js';
import { meshMiddleware } from '../../src/server/express.js';
import { meshMiddleware as honoMiddleware } from '../../src/server/hono.js';
import type { InboundOptions } from '../../src/server/inbound.js';
import { listening } from '../support/inbound-servers.js';

/** A middleware for all requests, and a second one with options of its own for some. */

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function start(...options: InboundOptions[]) {
  const seen: (Ambient | undefined)[] = [];
  const app = express();
  for (const one of options) app.use(meshMiddleware(one));
  app.use((_req, res) => {
    seen.push(ambient());
    res.send('ok');
  });
  const { port, close } = await listening(app);
  closing.push(close);
  const ask = async (headers: Record<string, string> = {}): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}/`, { headers })).status;
  return { ask, seen };
}

test('the limits of the second hold', async () => {
  const { ask } = await start({}, { limits: { requests: 2, perMs: 60_000 } });
  expect([await ask(), await ask(), await ask()]).toEqual([200, 200, 429]);
});

test('the second believes as many proxies about the client as it is told to', async () => {
  const limits = { requests: 1, perMs: 60_000, key: [{ remoteAddress: true as const }] };
  const { ask } = await start({}, { limits, trustedProxies: 1 });
  const from = (client: string) => ask({ 'x-forwarded-for': client });
  expect([await from('10.0.0.1'), await from('10.0.0.2'), await from('10.0.0.1')]).toEqual([200, 200, 429]);
});

test('the second refuses who has given up', async () => {
  const { ask } = await start({}, { expired: { mode: 'enforce', maxShare: 1 } });
  expect(await ask({ 'inmesh-timeout-ms': '0' })).toBe(504);
});

test('the mesh of both is told once of who has given up, by what became of the request', async () => {
  const events: MeshEvent[] = [];
  const mesh = { meter: { ...noMeter, event: (event: MeshEvent) => void events.push(event) } };
  const givenUp = { 'inmesh-timeout-ms': '0' };
  const expired = (maxShare: number): InboundOptions => ({ mesh, expired: { mode: 'enforce', maxShare } });
  const told = (refused: boolean) => ({ kind: 'deadline:expired', protocol: 'http', refused });
  for (const [options, status] of [
    [[{ mesh }, expired(1)], 504],
    [[{ mesh }, expired(0)], 200],
    [[expired(0), { mesh }], 200],
    [[expired(0), { mesh }, expired(1)], 504],
  ] as const) {
    const { ask } = await start(...options);
    expect(await ask(givenUp)).toBe(status);
    await vi.waitFor(() => expect(events.length).toBeGreaterThan(0));
    await Promise.all(closing.splice(0).map((close) => close()));
    expect(events.splice(0)).toEqual([told(status === 504)]);
  }
});

test('the second says how important a request is, and which is exempt', async () => {
  const exempt = (headers: Readonly<Record<string, unknown>>): boolean => headers['x-probe'] === 'yes';
  const shed = { initialLimit: 1, minLimit: 1, maxLimit: 1, maxLagMs: false as const, exempt };
  const { ask, seen } = await start({}, { priority: () => 'batch', shed });
  expect([await ask({ 'inmesh-priority': 'high' }), seen[0]?.priority]).toEqual([200, 'batch']);
  expect(await ask({ 'x-probe': 'yes' })).toBe(200);
  expect((seen[1] as unknown as { exempt: boolean }).exempt).toBe(true);
});

test('a middleware that is mounted twice counts a request once', async () => {
  const middleware = { limits: { requests: 2, perMs: 60_000 } };
  const app = express();
  const same = meshMiddleware(middleware);
  app.use(same, meshMiddleware(), same, (_req, res) => void res.send('ok'));
  const { port, close } = await listening(app);
  closing.push(close);
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await fetch(`http://127.0.0.1:${port}/`)).status);
  expect(statuses).toEqual([200, 200, 429]);
});

test('Hono on a server that is not Node’s: the limits of the second hold', async () => {
  const app = new Hono();
  app.use(honoMiddleware(), honoMiddleware({ limits: { requests: 1, perMs: 60_000 } }));
  app.get('/', (c) => c.text('ok'));
  expect([(await app.request('http://a/')).status, (await app.request('http://a/')).status]).toEqual([200, 429]);
});

test('Hono on a server that is not Node’s: the mesh of both is told once of who has given up', async () => {
  const events: MeshEvent[] = [];
  const mesh = { meter: { ...noMeter, event: (event: MeshEvent) => void events.push(event) } };
  const headers = { 'inmesh-timeout-ms': '0' };
  for (const maxShare of [0, 1]) {
    const app = new Hono();
    app.use(honoMiddleware({ mesh }), honoMiddleware({ mesh, expired: { mode: 'enforce', maxShare } }));
    app.get('/', (c) => c.text('ok'));
    expect((await app.request('http://a/', { headers })).status).toBe(maxShare === 1 ? 504 : 200);
    expect(events.splice(0)).toEqual([{ kind: 'deadline:expired', protocol: 'http', refused: maxShare === 1 }]);
  }
});
