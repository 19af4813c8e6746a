import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { openAsker } from '../fallback-paths/asking.js';
import { Backend } from '../support/backend.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { FACES, isGrpc } from '../support/echo.js';

/* What the Gateway API has no field for, as YAML: embedded and from our own control plane over a real socket. */

const combinations = CARRIERS.flatMap((carrier) => FACES.map((face) => ({ carrier, face })));
const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const backend = async (id = 'reviews'): Promise<Backend> => {
  const started = await Backend.start(id);
  opened.push(() => started.kill());
  return started;
};
const service = (...endpoints: string[]): string => `---
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { endpoints: [${endpoints.map((endpoint) => `"${endpoint}"`).join(', ')}] }
`;
const route = (kind: string, rule = ''): string => `---
apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: reviews }
spec: { parentRefs: [{ group: "", kind: Service, name: reviews }], rules: [{ backendRefs: [{ name: reviews }]${rule} }] }
`;
const routePolicy = (kind: string, spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: RoutePolicy
metadata: { name: reviews }
spec: { targetRefs: [{ kind: ${kind}, name: reviews }], ${spec} }
`;
const trafficPolicy = (spec: string): string => `---
apiVersion: inmesh.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: reviews }
spec: { targetRefs: [{ name: reviews }], ${spec} }
`;

describe.each(combinations)('a RoutePolicy, $face, $carrier', ({ carrier: carrierName, face }) => {
  const kind = isGrpc(face) ? 'GRPCRoute' : 'HTTPRoute';
  const open = async (yaml: string) => {
    const carrier = await openCarrier(carrierName, yaml);
    opened.push(() => carrier.close());
    const asker = await openAsker(face, carrier.mesh);
    opened.push(() => asker.close());
    return asker.ask;
  };
  const at = (b: Backend): string => `127.0.0.1:${isGrpc(face) ? b.grpcPort : b.httpPort}`;
  const withPolicy = (b: Backend, spec: string): string => service(at(b)) + route(kind) + routePolicy(kind, spec);

  test('gives requests headers that are made of what they bring', async () => {
    const reviews = await backend();
    const headers = 'requestHeaders: { set: [{ name: x-copy, value: "<%REQ(x-id)%> 100%%" }], remove: [x-secret] }';
    const ask = await open(withPolicy(reviews, headers));
    expect(await ask({ 'x-id': '7', 'x-secret': 's' })).toEqual({ id: 'reviews' });
    expect(reviews.seen[0]?.headers).toMatchObject({ 'x-copy': '<7> 100%' });
    expect(reviews.seen[0]?.headers).not.toHaveProperty('x-secret');
  });

  test('says which requests are tried again', async () => {
    const reviews = await backend();
    const on = isGrpc(face) ? 'unavailable' : '5xx';
    const retry = `retry: { on: [${on}], retriableRequestHeaders: [{ name: x-safe, value: "yes" }], maxBackoff: 1ms }`;
    const ask = await open(withPolicy(reviews, retry));
    await ask({ 'x-behave': 'fail' });
    expect(reviews.seen.length).toBe(1);
    await ask({ 'x-behave': 'fail', 'x-safe': 'yes' });
    expect(reviews.seen.length).toBe(3);
  });

  test('makes calls count against the limits of their priority', async () => {
    const reviews = await backend();
    const limits = trafficPolicy('connectionPool: { maxRequests: 5, high: { maxRequests: 0 } }');
    const ask = await open(withPolicy(reviews, 'priority: HIGH') + limits);
    expect(await ask()).toEqual({ error: isGrpc(face) ? 'UNAVAILABLE' : 'CIRCUIT_OPEN' });
    const other = await open(service(at(reviews)) + limits);
    expect(await other()).toEqual({ id: 'reviews' });
  });
});

describe.each(CARRIERS)('by fetch, %s', (carrierName) => {
  const open = async (yaml: string) => {
    const carrier = await openCarrier(carrierName, yaml);
    opened.push(() => carrier.close());
    return carrier.mesh;
  };

  test('a second attempt goes out beside one that takes too long', async () => {
    const reviews = await backend();
    const silent = http.createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    opened.push(() => {
      silent.close();
      silent.closeAllConnections();
    });
    const endpoints = [`127.0.0.1:${(silent.address() as AddressInfo).port}`, `127.0.0.1:${reviews.httpPort}`];
    const hedge = 'hedge: { delay: 10ms, maxExtraPercent: 100 }';
    const mesh = await open(
      service(...endpoints) +
        route('HTTPRoute') +
        routePolicy('HTTPRoute', hedge) +
        trafficPolicy('loadBalancer: { simple: ROUND_ROBIN }'),
    );
    for (let i = 0; i < 4; i++)
      expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'reviews' });
  });

  test('the host is made of the path', async () => {
    const reviews = await backend();
    const rewrite =
      'hostRewritePathRegex: { pattern: "^/([a-z]+)/.*$", substitution: "\\\\1.example" }, appendForwardedHost: true';
    const mesh = await open(
      service(`127.0.0.1:${reviews.httpPort}`) + route('HTTPRoute') + routePolicy('HTTPRoute', rewrite),
    );
    await (await mesh.fetch('http://reviews/shop/get')).text();
    expect(reviews.seen[0]?.headers).toMatchObject({ host: 'shop.example', 'x-forwarded-host': 'reviews' });
  });

  test('a Pod of both address families is one endpoint, reached where it listens', async () => {
    const reviews = await backend();
    const slice = (name: string, family: string, address: string): string => `---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}, labels: { kubernetes.io/service-name: reviews } }
addressType: ${family}
ports: [{ port: ${reviews.httpPort} }]
endpoints: [{ addresses: ["${address}"], targetRef: { kind: Pod, name: reviews-1 } }]
`;
    const bare = '---\napiVersion: v1\nkind: Service\nmetadata: { name: reviews }\n';
    const mesh = await open(bare + slice('a-v6', 'IPv6', '::1') + slice('b-v4', 'IPv4', '127.0.0.1'));
    expect(await (await mesh.fetch('http://reviews/get')).json()).toEqual({ id: 'reviews' });
    const { clusters } = await mesh.configDump();
    expect(clusters.flatMap(({ endpoints }) => endpoints).length).toBe(1);
  });
});
