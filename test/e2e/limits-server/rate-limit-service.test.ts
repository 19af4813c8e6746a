import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startControlPlane } from '../../../src/controlplane/index.js';
import { silentLogger } from '../../../src/core/log.js';
import { addressKey } from '../../../src/core/model/endpoint.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource } from '../../../src/core/resources.js';
import { meshClient } from '../../../src/index.js';
import { meshHandler } from '../../../src/server/http.js';
import { freeAddress } from '../../server/xds/support.js';
import { CARRIERS, openCarrier } from '../support/carriers.js';
import { HeldAds } from '../../support/held-ads.js';
import { serviceYaml } from '../../support/mesh-yaml.js';
import { filterOf } from '../../support/route-filters.js';
import { chain, httpFilter, listenerOf, socketAddress } from '../../support/server-resources.js';
import { any, clusterResource, endpointResource, routerFilter } from '../../support/xds-resources.js';

/*
 * Servers that ask a rate limit service. One under xDS whose listener has Envoy's filter for a rate limit service, which it names by its cluster alone: no client of this process calls it, and
 * no Listener has its name. Windows are of a year, so that none of them ends while a test runs.
 */

const opened: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

async function startLimits(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'inmesh-rls-'));
  opened.push(() => rm(folder, { recursive: true }));
  const limits = 'domain: edge\ndescriptors: [{ key: user, rate_limit: { unit: year, requests_per_unit: 2 } }]\n';
  await writeFile(join(folder, 'limits.yaml'), limits);
  const plane = await startControlPlane({ rateLimits: folder, listen: '127.0.0.1:0' });
  opened.push(() => plane.close());
  return plane.port;
}

/** The status of the answer. */
async function ask(port: number, user: string): Promise<number | undefined> {
  const options = { agent: false, host: '127.0.0.1', port, headers: { 'x-user': user } };
  const [response] = (await once(get(options), 'response')) as [IncomingMessage];
  await once(response.resume(), 'end');
  return response.statusCode;
}

const RATE_LIMIT = filterOf(
  'limits',
  any('envoy.extensions.filters.http.ratelimit.v3.RateLimit', {
    domain: 'edge',
    timeout: { seconds: 10 },
    // Whoever cannot be asked is seen.
    failure_mode_deny: true,
    rate_limit_service: {
      grpc_service: { envoy_grpc: { cluster_name: 'rate-limits' } },
      transport_api_version: 'V3',
    },
  }),
);
const PER_USER = { request_headers: { header_name: 'x-user', descriptor_key: 'user' } };

const listener = (name: string, port: number, filters: readonly Resource[]): Resource => ({
  ...listenerOf(name, [
    chain(undefined, {
      filters: [
        httpFilter({
          rds: undefined,
          http_filters: [...filters, routerFilter],
          route_config: {
            name: 'routes',
            virtual_hosts: [
              {
                name: 'all',
                domains: ['*'],
                rate_limits: [{ actions: [PER_USER] }],
                routes: [{ match: { prefix: '/' }, non_forwarding_action: {} }],
              },
            ],
          },
        }),
      ],
    }),
  ]),
  address: socketAddress('127.0.0.1', port),
});

const POLICIES = (port: number): string => `${serviceYaml('reviews', 'endpoints: ["127.0.0.1:1"]')}
${serviceYaml('limits', `endpoints: ["127.0.0.1:${port}"]`)}
---
apiVersion: inmesh.dev/v1alpha1
kind: RateLimitPolicy
metadata: { name: edge }
spec:
  side: server
  targetRefs: [{ group: "", kind: Service, name: reviews }]
  limits:
    - name: users
      key: [{ header: x-user, as: user }]
      onStoreFailure: deny
      store: { rateLimitService: { name: limits, domain: edge, timeout: 10s } }
`;

test.each(CARRIERS)(
  'a policy of servers that names a Service as their rate limit service asks it, %s',
  async (carrier) => {
    const opening = await openCarrier(carrier, POLICIES(await startLimits()));
    opened.push(() => opening.close());
    const { mesh } = opening;
    const answer = (_: IncomingMessage, response: ServerResponse) => response.end('served');
    const server = createServer(meshHandler(answer, { mesh, service: 'reviews' }));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    opened.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    expect([await ask(port, 'a'), await ask(port, 'a'), await ask(port, 'a'), await ask(port, 'b')]).toEqual([
      200, 200, 429, 200,
    ]);
  },
);

test('a server asks the cluster of its filter, which it loads itself and lets go of with the filter', async () => {
  const plane = await HeldAds.start();
  opened.push(() => plane.close());
  plane.put(CLUSTER, clusterResource('rate-limits', { http2_protocol_options: {} }));
  plane.put(ENDPOINT, endpointResource('rate-limits', await startLimits()));
  const address = await freeAddress();
  plane.put(LISTENER, listener('server', address.port, [RATE_LIMIT]));
  const mesh = await meshClient({
    xds: {
      xds_servers: [{ server_uri: plane.uri, channel_creds: [{ type: 'insecure' }], server_features: ['xds_v3'] }],
      node: { id: 'n' },
      server_listener_resource_name_template: 'server',
    },
    logger: silentLogger,
  });
  opened.push(() => mesh.close());
  const server = createServer((_, response) => response.end('served'));
  const serving = await mesh.serve(server, { address: addressKey(address) });
  opened.push(() => serving.close({ graceMs: 0 }));
  await serving.ready();

  const { port } = address;
  expect([await ask(port, 'a'), await ask(port, 'a'), await ask(port, 'a'), await ask(port, 'b')]).toEqual([
    200, 200, 429, 200,
  ]);
  expect(plane.subscribed(CLUSTER)).toEqual(['rate-limits']);
  // Nobody was looked for under its name.
  expect(plane.subscribed(LISTENER)).toEqual(['server']);

  plane.put(LISTENER, listener('server', address.port, []));
  while (plane.subscribed(CLUSTER).length > 0) await new Promise<void>((resolve) => setImmediate(resolve));
  expect(await ask(port, 'a')).toBe(200);
  expect(plane.nacks).toEqual([]);
});
