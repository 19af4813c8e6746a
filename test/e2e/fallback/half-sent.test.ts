import { afterEach, expect, test } from 'vitest';
import { type ResourceSet, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import type { DiscoveryRequest } from '../../../src/xds/wire/index.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import { routeResource, toCluster } from '../../support/xds-resources.js';
import { packed } from '../robustness/scripted-plane.js';
import { Opened } from '../robustness/support.js';
import { openMesh, Traffic } from './client.js';
import { type Hosts, resourcesFor } from './hosts.js';
import { plane } from './planes.js';

const opened = new Opened();
afterEach(() => opened.close());

/** A control plane that dies when it is asked for a cluster that it has just spoken of. */
class Forgetful {
  #version = 0;
  /** One for each target (A71), by the routes that were asked for on it. */
  readonly #streams = new Map<string, ScriptedStream>();

  private constructor(
    private readonly ads: ScriptedAds,
    private readonly set: ResourceSet,
  ) {}

  static async start(hosts: Hosts): Promise<Forgetful> {
    const forgetful = new Forgetful(await ScriptedAds.start(), resourcesFor(hosts));
    void forgetful.#serve();
    return forgetful;
  }

  get port(): number {
    return this.ads.port;
  }

  /** From now on the routes of the host lead to a cluster of which nothing more is known. */
  route(host: string, cluster: string): void {
    const name = `${host}-routes`;
    const route = packed(ROUTE, routeResource(name, [toCluster(cluster)]));
    this.#streams.get(name)?.send({ ...this.#stamp(ROUTE), resources: [route] });
  }

  close(): void {
    this.ads.close();
  }

  async #serve(): Promise<void> {
    for (;;) void this.#serveStream(await this.ads.nextStream());
  }

  async #serveStream(stream: ScriptedStream): Promise<void> {
    const answered = new Map<string, string>();
    for (;;) {
      const request: DiscoveryRequest = await stream.next();
      const type = request.type_url as ResourceType;
      const names = request.resource_names ?? [];
      const held = this.set[type];
      if (names.some((name) => !held.has(name))) {
        this.close();
        return;
      }
      if (answered.get(type) === names.join()) continue;
      answered.set(type, names.join());
      if (type === ROUTE) for (const name of names) this.#streams.set(name, stream);
      const resources = names.map((name) => packed(type, held.get(name) ?? {}));
      stream.send({ ...this.#stamp(type), resources });
    }
  }

  #stamp(type: string): { type_url: string; version_info: string; nonce: string } {
    const version = ++this.#version;
    return { type_url: type, version_info: `v${version}`, nonce: `n${version}` };
  }
}

// "such as when the control plane sends an updated RDS resource that points to a new cluster, but then the control plane becomes unavailable
// before the new CDS resources can be obtained" - A71
test('the first dies between a route and the cluster that it leads to: old routes serve until the second has sent all that is needed', async () => {
  const [one, two] = [await opened.backend('first'), await opened.backend('second')];
  const hosts = (backend: typeof one): Hosts => ({ web: backend.httpPort, rpc: backend.grpcPort });
  const first = opened.add(await Forgetful.start(hosts(one)), (each) => each.close());
  const fallback = opened.add(await plane(hosts(two)), (each) => each.close());
  const traffic = await Traffic.start(opened, openMesh(opened, 'AGGREGATED_GRPC', [first, fallback]));
  await traffic.answeredBy('first');
  expect(fallback.clients).toBe(0);
  for (const host of ['web', 'rpc']) first.route(host, 'new-cluster');
  await traffic.answeredBy('second');
  await traffic.staysAt('second');
  expect(traffic.failures).toEqual([]);
});
