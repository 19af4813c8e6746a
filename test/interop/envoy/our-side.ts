import { systemClock } from '../../../src/core/clock.js';
import { systemResolver } from '../../../src/core/dns.js';
import { silentLogger } from '../../../src/core/log.js';
import { seededRandom } from '../../../src/core/random.js';
import type { Resource, ResourceSet } from '../../../src/core/resources.js';
import { createMesh, type Mesh } from '../../../src/mesh/mesh.js';
import { transports } from '../../../src/mesh/transports.js';
import { createObservability } from '../../../src/observability/observability.js';
import { type MeshProxy, startProxy } from '../../../src/proxy/index.js';
import { type Refusal, ResourceStore } from '../../../src/xds/resource-store.js';
import { xdsConfigSource } from '../../../src/xds/source.js';

/** Our proxy on resources that are handed to our decoder as they are. */
export class OurSide {
  private constructor(
    readonly proxy: MeshProxy,
    readonly refusals: readonly Refusal[],
    private readonly mesh: Mesh,
  ) {}

  static async start(resources: ResourceSet): Promise<OurSide> {
    const [clock, random, logger] = [systemClock, seededRandom(1), silentLogger];
    const store = new ResourceStore();
    const refusals = store.update(resources);
    const source = xdsConfigSource({
      cache: store,
      listenerName: (authority) => authority,
      dns: { resolve: systemResolver, clock, random, logger },
      logger,
      ready: () => Promise.resolve(),
      close: () => Promise.resolve(),
    });
    const mesh = createMesh({
      source,
      unknownHosts: { policy: () => 'deny', resolve: systemResolver },
      env: { clock, random, logger, transports },
      observability: createObservability({ service: 'ours', clock, random, logger, tracing: 'off' }),
    });
    const proxy = await startProxy({ service: mesh.service, listen: '127.0.0.1:0' });
    return new OurSide(proxy, refusals, mesh);
  }

  async close(): Promise<void> {
    await this.proxy.close({ graceMs: 0 });
    await this.mesh.close();
  }
}

/** A cluster of endpoints at fixed addresses, the same resource for both; retries are bounded by the route's policy alone. */
export const staticCluster = (name: string, ports: readonly number[], fields: Resource = {}): Resource => ({
  name,
  type: 'STATIC',
  load_assignment: {
    cluster_name: name,
    endpoints: [
      {
        lb_endpoints: ports.map((port) => ({
          endpoint: {
            address: { socket_address: { address: '127.0.0.1', port_value: port } },
            hostname: `${name}.hosts.example`,
          },
        })),
      },
    ],
  },
  circuit_breakers: { thresholds: [{ max_retries: { value: 10_000 } }] },
  metadata: {
    filter_metadata: {
      'inmesh.dev': {
        fields: {
          retry_budget: {
            struct_value: {
              fields: { retry_ratio: { number_value: 1_000 }, min_retries_per_second: { number_value: 1_000_000 } },
            },
          },
        },
      },
    },
  },
  ...fields,
});
