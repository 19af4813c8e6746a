import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import { systemRandom } from '../../src/core/random.js';
import { tlsFactory } from '../../src/identity/tls/factory.js';
import { meshClient } from '../../src/index.js';
import { startProxy } from '../../src/proxy/index.js';
import { identityOf, providersOf, SECURE_FACES } from '../support/mtls.js';
import { testCa } from '../support/pki.js';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const ca = testCa();
let upstream: number;
beforeEach(async () => {
  const server = createServer((request, response) =>
    response.end(String(request.headers['x-forwarded-client-cert'] ?? 'nobody')),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => server.close());
  upstream = (server.address() as AddressInfo).port;
});

async function proxied(mtls: 'strict' | 'permissive') {
  const identity = identityOf(ca, 'proxy');
  const tls = tlsFactory({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    providers: providersOf(identity),
  });
  const mesh = meshClient({ services: { up: [`127.0.0.1:${upstream}`] }, logger: silentLogger });
  // Every request goes to the one server, by whatever address the proxy was reached.
  const proxy = await startProxy({
    service: (call) =>
      mesh.service(
        Object.assign(Object.create(Object.getPrototypeOf(call)), call, { authority: 'up', target: undefined }),
      ),
    listen: '127.0.0.1:0',
    mtls,
    servers: { tls },
  });
  closing.push(
    () => tls.close(),
    () => mesh.close(),
    () => proxy.close({ graceMs: 0 }),
  );
  return { host: proxy.host, port: proxy.port };
}

const faces = ['node:http', 'node:http2'].map((name) => [name, SECURE_FACES[name]] as const);

test.each(faces)('a proxy ends mutual TLS of %s clients and says whose certificate it was', async (_, face) => {
  const address = await proxied('strict');
  const [status, text] = (await face?.ask(address, { ca, identity: ca.issue({ name: 'web' }) })) ?? [];
  expect(status).toBe(200);
  expect(text).toMatch(
    /^Hash=[0-9a-f]{64};Subject="CN=web";URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/web;DNS=web$/,
  );
  await expect(face?.ask(address, undefined)).rejects.toThrow();
});

test.each(faces)(
  'a permissive proxy serves plain text over %s too, and what a client says of its own certificate goes',
  async (_, face) => {
    const address = await proxied('permissive');
    expect(await face?.ask(address, undefined)).toEqual([200, 'nobody']);
  },
);
