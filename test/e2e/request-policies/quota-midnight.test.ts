import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { silentLogger } from '../../../src/core/log.js';
import { meshClient, meshHandler } from '../../../src/index.js';
import { FakeClock } from '../../support/fake-clock.js';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const yaml = `
apiVersion: v1
kind: Service
metadata: { name: api }
spec: { endpoints: ["127.0.0.1:1"] }
---
apiVersion: inmesh.dev/v1alpha1
kind: QuotaPolicy
metadata: { name: plans }
spec:
  targetRefs: [{ group: "", kind: Service, name: api }]
  side: server
  subject: [{ header: x-customer }]
  plan: { header: x-plan }
  plans:
    - { name: free, limits: [{ requests: 10, per: day, timeZone: Europe/Berlin }] }
    - { name: gold, unlimited: true }
  defaultPlan: free
`;

/** A service behind its middleware at that time of the day, and what each customer is told. */
async function open(time: string) {
  const clock = new FakeClock(0, Date.parse(time));
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-quota-'));
  opened.push(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'mesh.yaml'), yaml);
  const mesh = meshClient({ config: join(folder, 'mesh.yaml'), clock, logger: silentLogger });
  opened.push(() => mesh.close());
  const handler = meshHandler((_: http.IncomingMessage, response: http.ServerResponse) => void response.end('done'), {
    mesh,
    clock,
    service: 'api',
  });
  const server = http.createServer((request, response) => void handler(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  opened.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await mesh.ready();
  const { port } = server.address() as AddressInfo;
  const ask = async (customer: string, plan = 'free') => {
    const reply = await fetch(`http://127.0.0.1:${port}/`, { headers: { 'x-customer': customer, 'x-plan': plan } });
    await reply.text();
    return {
      status: reply.status,
      left: reply.headers.get('x-ratelimit-remaining'),
      wait: reply.headers.get('retry-after'),
    };
  };
  /** How many of so many were let through. */
  const passed = async (customer: string, requests: number, plan?: string): Promise<number> => {
    let count = 0;
    for (let i = 0; i < requests; i++) if ((await ask(customer, plan)).status === 200) count++;
    return count;
  };
  return { clock, mesh, ask, passed };
}

test('a quota of 10 a day lets 10 through before midnight of its time zone, and 10 after', async () => {
  const { clock, ask, passed } = await open('2026-11-21T22:59:50Z');
  expect(await passed('ann', 12)).toBe(10);
  expect(await ask('ann')).toEqual({ status: 429, left: '0', wait: '10' });
  expect(await passed('bob', 4)).toBe(4);
  await clock.advance(9_000);
  expect(await ask('ann')).toEqual({ status: 429, left: '0', wait: '1' });
  await clock.advance(1_000);
  expect(await ask('ann')).toEqual({ status: 200, left: '9', wait: null });
  expect(await passed('ann', 12)).toBe(9);
  expect(await passed('bob', 12)).toBe(10);
  await clock.advance(3_600_000);
  expect(await ask('ann')).toEqual({ status: 429, left: '0', wait: String(23 * 3_600) });
});

test('the day on which clocks are set back is 25 hours long', async () => {
  // Midnight in Berlin, in summer time.
  const { clock, ask, passed } = await open('2026-10-24T22:00:00Z');
  expect(await passed('ann', 11)).toBe(10);
  await clock.advance(25 * 3_600_000 - 1_000);
  expect(await ask('ann')).toEqual({ status: 429, left: '0', wait: '1' });
  await clock.advance(1_000);
  expect((await ask('ann')).status).toBe(200);
});

test('uses of both days are metered apart, of plans without a limit too', async () => {
  const { clock, mesh, passed } = await open('2026-11-21T22:59:50Z');
  await passed('ann', 12);
  await passed('cyd', 15, 'gold');
  await clock.advance(10_000);
  await passed('ann', 3);
  const uses = mesh
    .usage()
    .accounts.map(({ plan, key, start, requests }) => [plan, key?.['x-customer'], start, requests]);
  expect(uses).toEqual([
    ['free', 'ann', '2026-11-20T23:00:00.000Z', 10],
    ['gold', 'cyd', '2026-11-21T00:00:00.000Z', 15],
    ['free', 'ann', '2026-11-21T23:00:00.000Z', 3],
  ]);
});
