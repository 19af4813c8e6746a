import { request } from 'node:http';
import { createServer as createHttp2, connect } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { startProxy } from '../../../src/proxy/index.js';
import { meshHandler } from '../../../src/server/http.js';
import { CARRIERS, type CarrierName, openCarrier } from '../support/carriers.js';
import { FRAMEWORKS } from '../../support/inbound-servers.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { Opened } from '../robustness/support.js';

/*
 * Browsers ask servers without a mesh between them: what a route says of CORS is said by the middleware of the server itself, as the proxy says it.
 */

const opened = new Opened();
afterEach(() => opened.close());

const PAGE = 'https://www.shop.example';
const config = (port = 1): string =>
  `${serviceYaml('shop', `endpoints: ["127.0.0.1:${port}"]`)}---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: shop }]
  rules:
    - matches: [{ path: { value: /api } }]
      backendRefs: [{ name: shop }]
      filters:
        - { type: CORS, cors: { allowOrigins: ["https://*.shop.example"], allowMethods: [GET, PUT], allowHeaders: [x-cart], exposeHeaders: [x-total], maxAge: 60 } }
    - backendRefs: [{ name: shop }]
`;
/** Nobody is let in, whatever the browser asks. */
const DENIED = `---
apiVersion: inmesh.dev/v1alpha1
kind: AuthorizationPolicy
metadata: { name: nobody }
spec: { targetRefs: [{ kind: Service, name: shop }], action: DENY, rules: [{ to: [{ paths: ["/api/*"] }] }] }
`;

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** fetch sends no headers that say where a request comes from. */
function ask(port: number, method: string, path: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: { host: 'shop', ...headers },
      agent: false,
    });
    outgoing.on('error', reject);
    outgoing.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    outgoing.end();
  });
}

const preflight = (port: number, path = '/api/cart', origin = PAGE): Promise<Answer> =>
  ask(port, 'OPTIONS', path, { origin, 'access-control-request-method': 'PUT' });

const ALLOWED = {
  'access-control-allow-origin': PAGE,
  'access-control-allow-methods': 'GET, PUT',
  'access-control-allow-headers': 'x-cart',
  'access-control-max-age': '60',
};

async function serving(framework: string, carrier: CarrierName = 'embedded', more = '') {
  const { mesh, close } = await openCarrier(carrier, config() + more);
  opened.add(mesh, () => close());
  const seen: unknown[] = [];
  const start = FRAMEWORKS[framework] as (typeof FRAMEWORKS)[string];
  const server = await start(() => seen.push('handled') && undefined, { mesh, service: 'shop' });
  opened.add(server, () => server.close());
  return { port: server.port, seen };
}

describe.each(Object.keys(FRAMEWORKS))('%s', (framework) => {
  test('a preflight is answered, and no handler sees it; the request that follows may be read by the page', async () => {
    const { port, seen } = await serving(framework);
    const answer = await preflight(port);
    expect(answer).toMatchObject({ status: 200, headers: ALLOWED, body: '' });
    expect(answer.headers).not.toHaveProperty('mesh-error');
    expect(seen).toEqual([]);
    const reply = await ask(port, 'GET', '/api/cart', { origin: PAGE });
    expect(reply).toMatchObject({
      status: 200,
      headers: { 'access-control-allow-origin': PAGE, 'access-control-expose-headers': 'x-total' },
      body: 'ok',
    });
    expect(seen).toEqual(['handled']);
  });

  test('pages of others are told nothing, nor is anybody of routes that say nothing of it', async () => {
    const { port, seen } = await serving(framework);
    const others = await preflight(port, '/api/cart', 'https://evil.example');
    expect(others.headers).not.toHaveProperty('access-control-allow-origin');
    expect((await ask(port, 'GET', '/api/cart', { origin: 'https://evil.example' })).headers).not.toHaveProperty(
      'access-control-allow-origin',
    );
    expect((await preflight(port, '/other')).headers).not.toHaveProperty('access-control-allow-origin');
    // The last two got through: they are the handler's to answer.
    expect(seen).toEqual(['handled', 'handled']);
  });

  test('who may not come in is told so where the page can read it; a preflight carries nothing to judge by, and is answered', async () => {
    const { port, seen } = await serving(framework, 'embedded', DENIED);
    expect(await preflight(port)).toMatchObject({ status: 200, headers: ALLOWED });
    const refused = await ask(port, 'GET', '/api/cart', { origin: PAGE });
    expect(refused).toMatchObject({ status: 403, headers: { 'access-control-allow-origin': PAGE } });
    expect(seen).toEqual([]);
  });
});

test.each(CARRIERS)('with configuration that comes %s', async (carrier) => {
  const { port } = await serving('node:http', carrier);
  expect(await preflight(port)).toMatchObject({ status: 200, headers: ALLOWED });
});

test('over HTTP/2', async () => {
  const { mesh, close } = await openCarrier('embedded', config());
  opened.add(mesh, () => close());
  const server = createHttp2(meshHandler((_request, response) => void response.end('ok'), { mesh, service: 'shop' }));
  opened.add(server, () => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  opened.add(session, () => session.close());
  const told = new Promise<Record<string, unknown>>((resolve) => {
    const headers = {
      ':method': 'OPTIONS',
      ':path': '/api/cart',
      origin: PAGE,
      'access-control-request-method': 'PUT',
    };
    session.request(headers).on('response', resolve).resume();
  });
  expect(await told).toMatchObject({ ':status': 200, ...ALLOWED });
});

test('a proxy that holds requests to the policies of a service says it once', async () => {
  const { port } = await serving('node:http');
  const { mesh, close } = await openCarrier('embedded', config(port));
  opened.add(mesh, () => close());
  const proxy = await startProxy({
    service: mesh.service,
    servers: mesh.servers,
    meter: mesh.meter,
    policies: 'shop',
    listen: '127.0.0.1:0',
  });
  opened.add(proxy, () => proxy.close());
  expect(await preflight(proxy.port)).toMatchObject({ status: 200, headers: ALLOWED, body: '' });
  const reply = await ask(proxy.port, 'GET', '/api/cart', { origin: PAGE });
  expect(reply).toMatchObject({ status: 200, headers: { 'access-control-allow-origin': PAGE } });
});
