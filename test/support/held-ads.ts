import type { Resource, ResourceType } from '../../src/core/resources.js';
import { type Codec, type DiscoveryRequest, loadCodec } from '../../src/xds/wire/index.js';
import { ScriptedAds, type ScriptedStream } from './scripted-ads.js';

/** What one stream has been sent of one type. */
interface Subscription {
  names: readonly string[];
  sent: number;
}

/** A plain ADS server, on a real socket: whoever asks gets what it holds, and again whenever that changes. */
export class HeldAds {
  readonly #held = new Map<ResourceType, Map<string, Resource>>();
  readonly #versions = new Map<ResourceType, number>();
  readonly #streams = new Map<ScriptedStream, Map<ResourceType, Subscription>>();
  /** `Listener: why` of every NACK. */
  readonly nacks: string[] = [];
  #closed = false;

  private constructor(
    private readonly ads: ScriptedAds,
    private readonly codec: Codec,
  ) {
    void this.#accept();
  }

  static async start(): Promise<HeldAds> {
    return new HeldAds(await ScriptedAds.start(), await loadCodec());
  }

  get uri(): string {
    return this.ads.uri;
  }

  /** Names asked for now, of all streams. */
  subscribed(type: ResourceType): string[] {
    return [...this.#streams.values()].flatMap((types) => types.get(type)?.names ?? []);
  }

  put(type: ResourceType, ...resources: readonly Resource[]): void {
    const held = this.#of(type);
    for (const resource of resources) held.set(String(resource['name'] ?? resource['cluster_name']), resource);
    this.#push(type);
  }

  remove(type: ResourceType, name: string): void {
    this.#of(type).delete(name);
    this.#push(type);
  }

  close(): void {
    this.#closed = true;
    this.ads.close();
  }

  #of(type: ResourceType): Map<string, Resource> {
    const held = this.#held.get(type) ?? new Map<string, Resource>();
    this.#held.set(type, held);
    return held;
  }

  #push(type: ResourceType): void {
    this.#versions.set(type, (this.#versions.get(type) ?? 0) + 1);
    for (const [stream, types] of this.#streams) {
      const subscription = types.get(type);
      if (subscription !== undefined) this.#send(stream, type, subscription);
    }
  }

  #send(stream: ScriptedStream, type: ResourceType, subscription: Subscription): void {
    const version = this.#versions.get(type) ?? 0;
    subscription.sent = version;
    const held = this.#of(type);
    const resources = subscription.names
      .map((name) => held.get(name))
      .filter((resource) => resource !== undefined)
      .map((resource) => ({ type_url: type, value: this.codec.encodeResource(type, resource) }));
    stream.send({ type_url: type, version_info: String(version), nonce: `${version}`, resources });
  }

  async #accept(): Promise<void> {
    while (!this.#closed) {
      const stream = await this.ads.nextStream();
      this.#streams.set(stream, new Map());
      void stream.ended.then(() => this.#streams.delete(stream));
      void this.#serve(stream);
    }
  }

  async #serve(stream: ScriptedStream): Promise<void> {
    for (;;) {
      const request: DiscoveryRequest = await stream.next();
      const type = request.type_url as ResourceType;
      if (request.error_detail !== undefined) {
        this.nacks.push(`${type.slice(type.lastIndexOf('.') + 1)}: ${request.error_detail.message}`);
      }
      const types = this.#streams.get(stream) ?? new Map<ResourceType, Subscription>();
      const known = types.get(type);
      const names = request.resource_names ?? [];
      const added = names.some((name) => known?.names.includes(name) !== true);
      const subscription = known ?? { names, sent: -1 };
      subscription.names = names;
      types.set(type, subscription);
      if (added) this.#send(stream, type, subscription);
    }
  }
}
