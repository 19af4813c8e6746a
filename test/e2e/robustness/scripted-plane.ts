import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import { adsService, type DiscoveryRequest, type DiscoveryResponse, loadCodec } from '../../../src/xds/wire/index.js';
import { ScriptedAds, type ScriptedStream } from '../../support/scripted-ads.js';
import {
  clusterResource,
  endpointResource,
  listenerResource,
  routeResource,
  toCluster,
} from '../../support/xds-resources.js';

export const codec = await loadCodec();
const { StreamAggregatedResources: method } = adsService(codec);

type Any = NonNullable<DiscoveryResponse['resources']>[number];
export const packed = (type: ResourceType, resource: Resource): Any => ({
  type_url: type,
  value: codec.encodeResource(type, resource),
});

/**
 * A control plane that answers every request for names it has not yet answered with what it holds, and otherwise sends what a test
 * tells it to. What clients refuse is kept in `refusals`.
 */
export class ScriptedPlane {
  readonly held = new Map<ResourceType, Any[]>();
  /** Messages of the NACKs, in order. */
  readonly refusals: string[] = [];
  /** Streams opened so far. */
  streams = 0;
  #stream: ScriptedStream | undefined;
  #version = 0;
  #running = true;

  private constructor(private ads: ScriptedAds) {
    void this.#accept();
  }

  static async start(): Promise<ScriptedPlane> {
    return new ScriptedPlane(await ScriptedAds.start());
  }

  get address(): string {
    return this.ads.uri;
  }

  /** `reviews` is served by what listens on `port`; clients are sent the change at once. */
  serve(port: number): void {
    this.hold(LISTENER, listenerResource('reviews', 'routes'));
    this.hold(ROUTE, routeResource('routes', [toCluster('backend')]));
    this.hold(CLUSTER, clusterResource('backend'));
    this.hold(ENDPOINT, endpointResource('backend', port));
    for (const type of [CLUSTER, ENDPOINT, LISTENER, ROUTE] as const) this.push(type);
  }

  hold(type: ResourceType, ...resources: Resource[]): void {
    this.held.set(
      type,
      resources.map((resource) => packed(type, resource)),
    );
  }

  /** Sends `resources` as all there is of the type, under a version of its own. */
  push(type: string, resources: Any[] = this.held.get(type as ResourceType) ?? []): void {
    this.#stream?.send({ ...this.#stamp(type), resources });
  }

  /** Sends bytes in place of a DiscoveryResponse. */
  pushRaw(bytes: Buffer): void {
    this.#stream?.send(bytes);
  }

  /** A whole response with `resources`, as bytes. */
  response(type: ResourceType, resources: Any[] = this.held.get(type) ?? []): Buffer {
    return method.responseSerialize({ ...this.#stamp(type), resources });
  }

  endStream(): void {
    this.#stream?.end();
  }

  failStream(code: number, details: string): void {
    this.#stream?.fail(code, details);
  }

  /** Cuts every connection, and listens again at the same port. */
  async restart(): Promise<void> {
    const { port } = this.ads;
    this.ads.close();
    this.ads = await ScriptedAds.start(port);
    void this.#accept();
  }

  close(): void {
    this.#running = false;
    this.ads.close();
  }

  #stamp(type: string): DiscoveryResponse {
    const version = ++this.#version;
    return { type_url: type, version_info: `v${version}`, nonce: `n${version}` };
  }

  async #accept(): Promise<void> {
    const { ads } = this;
    while (this.#running && this.ads === ads) {
      const stream = await ads.nextStream();
      this.streams++;
      this.#stream = stream;
      void this.#answer(stream);
    }
  }

  async #answer(stream: ScriptedStream): Promise<void> {
    const answered = new Map<string, string>();
    while (this.#running) {
      const request: DiscoveryRequest = await stream.next();
      if (request.error_detail !== undefined) this.refusals.push(request.error_detail.message ?? '');
      const type = request.type_url as ResourceType;
      const names = [...(request.resource_names ?? [])].sort().join();
      if (answered.get(type) === names) continue;
      answered.set(type, names);
      const resources = this.held.get(type);
      if (resources !== undefined) stream.send({ ...this.#stamp(type), resources });
    }
  }
}
