import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { meshClient, meshHandler } from '../../../src/index.js';
import { FakeClock } from '../../support/fake-clock.js';

/* The configuration of examples/class-of-service, second by second: unknown callers once in 600 s each, known ones unlimited, premium ones in a pool. */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function serve(handler: http.RequestListener): Promise<string> {
  const server = http.createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const PLANS: Readonly<Record<string, { readonly sub: string; readonly plan: string }>> = {
  ada: { sub: 'ada', plan: 'trial' },
  eve: { sub: 'eve', plan: 'trial' },
  bob: { sub: 'bob', plan: 'member' },
  cyd: { sub: 'cyd', plan: 'premium' },
};

/** The service behind its middleware, on a clock that stands still. */
async function open() {
  const clock = new FakeClock();
  const pool = (name: string) => serve((_, response) => void response.end(name));
  const yaml = (await readFile('examples/class-of-service/mesh.yaml', 'utf8'))
    .replace('127.0.0.1:18421', await pool('everybody'))
    .replace('127.0.0.1:18422', await pool('premium'));
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-classes-'));
  opened.push(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'mesh.yaml'), yaml);
  const mesh = meshClient({ config: join(folder, 'mesh.yaml'), clock, logger: silentLogger });
  opened.push(() => mesh.close());
  const claimsOf = (headers: http.IncomingHttpHeaders) => PLANS[headers.authorization ?? ''];
  const handler = meshHandler(
    async (request: http.IncomingMessage, response: http.ServerResponse) => {
      const reply = await mesh.fetch('http://reports/', {
        headers: { 'x-plan': claimsOf(request.headers)?.plan ?? 'none' },
      });
      response.end(await reply.text());
    },
    { mesh, clock, service: 'api', trustedProxies: 1, caller: ({ headers }) => ({ claims: claimsOf(headers) }) },
  );
  const address = await serve((request, response) => void handler(request, response));
  await mesh.ready();
  /** Status, who answered, and what the headers say: limit / remaining / seconds to the reset, and when to come again. */
  const ask = async (from: string, token?: string): Promise<string> => {
    const headers = { 'x-forwarded-for': from, ...(token !== undefined && { authorization: token }) };
    const reply = await fetch(`http://${address}/`, { headers });
    const text = await reply.text();
    const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) =>
      reply.headers.get(`x-ratelimit-${name}`),
    );
    const said = limit === null ? 'no limit' : `${limit} / ${remaining} / ${Number(reset) - clock.wallTime() / 1_000}`;
    return `${reply.status} ${reply.ok ? text : `after ${reply.headers.get('retry-after')}`}, ${said}`;
  };
  return { ask, clock };
}

test('who is not known gets one answer in 600 seconds, each by its address', async () => {
  const { ask, clock } = await open();
  expect(await ask('203.0.113.7')).toBe('200 everybody, 1 / 0 / 600');
  expect(await ask('203.0.113.7')).toBe('429 after 600, 1 / 0 / 600');
  expect(await ask('203.0.113.8')).toBe('200 everybody, 1 / 0 / 600');
  expect(await ask('203.0.113.9', 'forged')).toBe('200 everybody, 1 / 0 / 600');
  await clock.advance(599_000);
  expect(await ask('203.0.113.7')).toBe('429 after 1, 1 / 0 / 1');
  await clock.advance(1_000);
  expect(await ask('203.0.113.7')).toBe('200 everybody, 1 / 0 / 600');
  expect(await ask('203.0.113.7')).toBe('429 after 600, 1 / 0 / 600');
});

test('who has a network of IPv6 to itself gets one answer in 600 seconds, whatever address of it calls', async () => {
  const { ask } = await open();
  expect(await ask('2001:db8:0:1::7')).toBe('200 everybody, 1 / 0 / 600');
  for (let i = 8; i < 20; i++) expect(await ask(`2001:db8:0:1:${i}::${i}`)).toBe('429 after 600, 1 / 0 / 600');
  expect(await ask('2001:db8:0:2::7')).toBe('200 everybody, 1 / 0 / 600');
});

test('who is known gets as many as it likes, and premium customers from their own pool', async () => {
  const { ask } = await open();
  for (let call = 0; call < 20; call++) {
    expect(await ask('203.0.113.7', 'bob')).toBe('200 everybody, no limit');
    expect(await ask('203.0.113.7', 'cyd')).toBe('200 premium, no limit');
  }
});

test('who tries it out gets 60 in an hour, wherever it calls from: 60 / 0 / reset', async () => {
  const { ask } = await open();
  expect(await ask('203.0.113.7', 'ada')).toBe('200 everybody, 60 / 59 / 60');
  for (let call = 2; call < 60; call++) await ask(`203.0.113.${call}`, 'ada');
  expect(await ask('203.0.113.7', 'ada')).toBe('200 everybody, 60 / 0 / 3600');
  expect(await ask('203.0.113.8', 'ada')).toBe('429 after 60, 60 / 0 / 3600');
  expect(await ask('203.0.113.8', 'eve')).toBe('200 everybody, 60 / 59 / 60');
});
