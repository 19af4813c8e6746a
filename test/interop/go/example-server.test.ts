import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/core/clock.js';
import { silentLogger } from '../../../src/core/log.js';
import { noMeter } from '../../../src/core/meter.js';
import { seededRandom } from '../../../src/core/random.js';
import { CLUSTER, LISTENER, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { type ApiType, parseBootstrap } from '../../../src/xds/bootstrap/index.js';
import { XdsClient } from '../../../src/xds/client/index.js';
import { decodersByType } from '../../support/decoders.js';
import { missing, startExample } from './programs.js';

/*
 * Our client under go-control-plane's own example server. It serves one configuration, meant for an Envoy: a listener with an address, routes, and a cluster
 * found by DNS. What of it a client of gRPC's kind takes, ours takes; the rest is refused by name, and harms nothing.
 */
if (missing !== undefined) console.warn(`interop with go-control-plane's example is skipped: ${missing}`);

describe.each<ApiType>(['AGGREGATED_GRPC', 'AGGREGATED_DELTA_GRPC', 'GRPC', 'DELTA_GRPC'])('%s', (api) => {
  const opened: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
  });

  async function connect() {
    const example = await startExample();
    opened.push(example.stop);
    const server = { server_uri: `127.0.0.1:${example.port}`, channel_creds: [{ type: 'insecure' }], api_type: api };
    const random = seededRandom(1);
    const client = new XdsClient({
      bootstrap: parseBootstrap({ xds_servers: [server], node: { id: 'test-id' } }, { service: 'interop', random }),
      decoders: decodersByType,
      scope: 'interop',
      clock: systemClock,
      random,
      logger: silentLogger,
      meter: noMeter,
    });
    opened.push(() => client.close());
    return client;
  }

  /** The first that is heard of a resource, after it is clear whether there is a connection. */
  const first = (client: XdsClient, type: ResourceType, name: string): Promise<unknown> =>
    new Promise((resolve) => {
      client.watch(type, name, {
        changed: resolve,
        // Whoever comes before it listens connects again.
        failed: (error, reason) => reason !== 'unreachable' && resolve(error),
        ambient: () => {},
      });
    });

  it.skipIf(missing)('takes the cluster and the routes, and refuses the listener by name', async () => {
    const client = await connect();
    const cluster = await first(client, CLUSTER, 'example_proxy_cluster');
    expect(cluster).toMatchObject({ name: 'example_proxy_cluster' });
    const routes = await first(client, ROUTE, 'local_route');
    expect(routes).toMatchObject({ virtualHosts: [{ domains: ['*'] }] });
    const listener = await first(client, LISTENER, 'listener_0');
    expect(String(listener)).toContain('rds.config_source: must be ads or self');
    const states = client.dump().resources.map(({ name, state }) => [name, state]);
    expect(Object.fromEntries(states)).toEqual({
      example_proxy_cluster: 'ACKED',
      local_route: 'ACKED',
      listener_0: 'NACKED',
    });
  });
});
