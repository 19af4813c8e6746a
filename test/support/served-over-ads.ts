import { tlsFactory } from '../../src/identity/tls/factory.js';
import { systemClock } from '../../src/core/clock.js';
import { Deadlines } from '../../src/core/deadlines.js';
import { silentLogger } from '../../src/core/log.js';
import { type MeshEvent, type Meter, noMeter } from '../../src/core/meter.js';
import { type Address, addressKey } from '../../src/core/model/endpoint.js';
import { seededRandom } from '../../src/core/random.js';
import { LISTENER, type Resource } from '../../src/core/resources.js';
import { type ServableServer, type Serving, serveXds } from '../../src/server/xds/index.js';
import { bootstrapFor, serverListenerName } from '../../src/xds/bootstrap/index.js';
import { XdsClient } from '../../src/xds/client/index.js';
import { decodersFor } from '../../src/xds/resources/decoders.js';
import { watchServers } from '../../src/xds/servers/index.js';
import { HeldAds } from './held-ads.js';
import { chain, httpFilter, listenerOf, socketAddress } from './server-resources.js';
import { routerFilter } from './xds-resources.js';

const TEMPLATE = 'grpc/server?xds.resource.listening_address=%s';

/** A meter that remembers events, and gauges by name and limiter. */
export class HeardMeter implements Meter {
  readonly callFinished = noMeter.callFinished;
  readonly attemptFinished = noMeter.attemptFinished;
  readonly record = noMeter.record;
  readonly events: MeshEvent[] = [];
  readonly gauges = new Map<string, () => number>();

  event(event: MeshEvent): void {
    this.events.push(event);
  }

  gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): () => void {
    const key = `${name} ${Object.values(labels).join(' ')}`;
    this.gauges.set(key, read);
    return () => this.gauges.delete(key);
  }

  /** Requests under way, by the name of the limit. */
  get active(): Record<string, number> {
    const prefix = 'mesh.server.requests_active ';
    return Object.fromEntries(
      [...this.gauges]
        .filter(([key]) => key.startsWith(prefix))
        .map(([key, read]) => [key.slice(prefix.length), read()]),
    );
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A control plane on a real socket, and servers that take their configuration from it: one listener with one chain, whose routes come with it. */
export class ServedOverAds {
  readonly meter = new HeardMeter();
  readonly #deadlines = new Deadlines(systemClock);
  readonly #servings: Serving[] = [];

  static async start(address: Address): Promise<ServedOverAds> {
    return new ServedOverAds(await HeldAds.start(), address);
  }

  readonly #client: XdsClient;
  readonly #env = { clock: systemClock, random: seededRandom(1), logger: silentLogger };
  readonly #listenerName: (at: string) => string | undefined;

  private constructor(
    readonly plane: HeldAds,
    readonly address: Address,
  ) {
    const made = bootstrapFor(plane.uri, { service: 'shop', nodeId: 'server-1', random: this.#env.random });
    const bootstrap = { ...made, serverListenerTemplate: TEMPLATE };
    this.#listenerName = (at) => serverListenerName(bootstrap, at);
    this.#client = new XdsClient({
      ...this.#env,
      bootstrap,
      decoders: decodersFor({ certificateProviders: new Set() }),
      scope: '#server',
      meter: this.meter,
    });
  }

  get listenerName(): string {
    return TEMPLATE.replace('%s', addressKey(this.address));
  }

  serve(server: ServableServer): Serving {
    const watch = watchServers({ cache: this.#client, listenerName: this.#listenerName, logger: this.#env.logger });
    const serving = serveXds(
      server,
      { address: addressKey(this.address), onServingMode: () => {} },
      { ...this.#env, watch, deadlines: this.#deadlines, meter: this.meter, tls: tlsFactory(this.#env) },
    );
    this.#servings.push(serving);
    return serving;
  }

  /** Configures these filters before the router, and what else the connection manager has. */
  put(filters: readonly Resource[], hcm: Resource = {}): void {
    const manager = {
      rds: undefined,
      route_config: {
        name: 'routes',
        virtual_hosts: [
          { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, non_forwarding_action: {} }] },
        ],
      },
      http_filters: [...filters, routerFilter],
      ...hcm,
    };
    this.plane.put(LISTENER, {
      ...listenerOf(this.listenerName, [chain(undefined, { name: 'main', filters: [httpFilter(manager)] })]),
      address: socketAddress(this.address.host, this.address.port),
    });
  }

  /** The same, until the servers have taken it over. */
  async update(filters: readonly Resource[], hcm: Resource = {}): Promise<void> {
    const updates = (): number => this.meter.events.filter(({ kind }) => kind === 'xds:update').length;
    const before = updates();
    this.put(filters, hcm);
    while (updates() === before) await turn();
    await turn();
  }

  async close(): Promise<void> {
    await Promise.all(this.#servings.map((serving) => serving.close({ graceMs: 0 })));
    this.#deadlines.close();
    await this.#client.close();
    this.plane.close();
  }
}
