import { createServer } from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import type * as grpc from '@grpc/grpc-js';
import { afterEach, describe, expect, test } from 'vitest';
import { addressKey } from '../../../src/core/model/endpoint.js';
import type { Mesh } from '../../../src/index.js';
import { meshHandler } from '../../../src/server/http.js';
import { startProxy } from '../../../src/proxy/index.js';
import { XdsServer } from '../../../src/server/xds/grpc-server.js';
import { freeAddress } from '../../server/xds/support.js';
import { GRPC_SLIPS, SLIPS, SLIPS_POLICY, type Slip } from '../../identity/authz/slips.js';
import { FRAMEWORKS, type Handled } from '../../support/inbound-servers.js';
import { Http2Sessions, rawHttp1, rawHttp2 } from '../../support/raw-requests.js';
import { grpcMethod } from '../../support/server-faces.js';
import { openCarrier } from '../support/carriers.js';

/* Requests that mean to slip past authorization, on real servers: none gets to a handler. */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const service = (port: number): string => `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: ["127.0.0.1:${port}"] }
`;

async function open(port = 1): Promise<Mesh> {
  const carrier = await openCarrier('embedded', service(port) + SLIPS_POLICY);
  opened.push(() => carrier.close());
  return carrier.mesh;
}

const HARMLESS: readonly Slip[] = [
  { why: 'a path that only looks like it', target: '/administrator' },
  { why: 'a query', target: '/public?x=/admin' },
  { why: 'encoded text', target: '/caf%C3%A9/a%20b' },
  { why: 'absolute form', target: 'http://reviews/public' },
  { why: 'another role', target: '/', headers: [['x-role', 'guest']] },
];

/** What a proxy takes away before it sends a request on: then there is nothing to be denied. */
const TAKEN_AWAY = 'with a header to be left out';

type Send = (slip: Slip) => Promise<number | undefined>;
type Start = (handled: Handled) => Promise<Send>;

const middleware =
  (name: string): Start =>
  async (handled) => {
    const { port, close } = await (FRAMEWORKS[name] as (typeof FRAMEWORKS)[string])(handled, {
      mesh: await open(),
      service: 'reviews',
    });
    opened.push(close);
    return (slip) => rawHttp1(port, slip);
  };

const served: Readonly<Record<string, Start>> = {
  'node:http with middleware': middleware('node:http'),
  'Express with middleware': middleware('Express'),
  'Fastify with middleware': middleware('Fastify'),
  'Hono with middleware': middleware('Hono'),
  'mesh.serve of node:http': async (handled) => {
    const { port } = await serve(
      createServer((_, response) => {
        handled();
        response.end('ok');
      }),
    );
    return (slip) => rawHttp1(port, slip);
  },
  'mesh.serve of node:http2': async (handled) => {
    const { port } = await serve(
      http2.createServer((_, response) => {
        handled();
        response.end('ok');
      }),
    );
    return overHttp2(port);
  },
  'the proxy before node:http': async (handled) => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const mesh = await open(port);
    server.on(
      'request',
      meshHandler(
        (_, response) => {
          handled();
          response.end('ok');
        },
        { mesh, service: 'reviews' },
      ),
    );
    opened.push(() => {
      server.closeAllConnections();
      server.close();
    });
    const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
    opened.push(() => proxy.close());
    return (slip) => (slip.why === TAKEN_AWAY ? Promise.resolve(undefined) : rawHttp1(proxy.port, slip));
  },
};

async function serve(server: Parameters<Mesh['serve']>[0]): Promise<{ readonly port: number }> {
  const mesh = await open();
  const address = await freeAddress();
  const serving = await mesh.serve(server, { address: addressKey(address), service: 'reviews' });
  await serving.ready();
  return address;
}

function overHttp2(port: number, more: http2.OutgoingHttpHeaders = {}): Send {
  const sessions = new Http2Sessions(port);
  opened.push(() => sessions.close());
  return (slip) => rawHttp2(sessions.get(), slip, more);
}

test('the corpus has at least 150, each different', () => {
  expect(SLIPS.length + GRPC_SLIPS.length).toBeGreaterThanOrEqual(150);
});

describe.each(Object.entries(served))('%s', (name, start) => {
  test('none of the corpus gets to its handler; what only looks like it does', async () => {
    let handled = 0;
    const send = await start(() => void handled++);
    const slipped: unknown[] = [];
    for (const slip of SLIPS) {
      const before = handled;
      const status = await send(slip);
      if (handled !== before || (status !== undefined && status < 400)) slipped.push({ ...slip, status });
    }
    expect(slipped).toEqual([]);
    const statuses = [];
    // nghttp2 takes no absolute form.
    const harmless =
      name === 'mesh.serve of node:http2' ? HARMLESS.filter(({ why }) => why !== 'absolute form') : HARMLESS;
    for (const slip of harmless) statuses.push(await send(slip));
    expect([handled, statuses]).toEqual([harmless.length, harmless.map(() => 200)]);
  }, 30_000);
});

test('grpc-js: none of the corpus gets to its handler; metadata and authority are looked at, too', async () => {
  let handled = 0;
  const server = new XdsServer();
  const get = (_call: unknown, done: grpc.sendUnaryData<Buffer>): void => {
    handled++;
    done(null, Buffer.from('ok'));
  };
  server.addService({ get: grpcMethod('/pkg.Admin/Get') }, { get });
  server.addService({ get: grpcMethod('/pkg.Public/Get') }, { get });
  const { port } = await serve(server);
  const send = overHttp2(port, { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' });
  const slipped: unknown[] = [];
  for (const slip of GRPC_SLIPS) {
    const status = await send(slip);
    if (status === 0 || handled > 0) slipped.push({ ...slip, status });
  }
  expect(slipped).toEqual([]);
});
