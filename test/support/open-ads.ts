import * as grpc from '@grpc/grpc-js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../src/core/resources.js';
import {
  adsService,
  type DiscoveryRequest,
  type DiscoveryResponse,
  loadCodec,
  type RawAny,
} from '../../src/xds/wire/index.js';

export type Resources = Readonly<Partial<Record<ResourceType, readonly Resource[]>>>;
type Stream = grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;

const codec = await loadCodec();
const METHOD = adsService(codec).StreamAggregatedResources;
const WRAPPER = 'envoy.service.discovery.v3.Resource';

/** What one stream has of one type. */
interface Asked {
  readonly names: readonly string[];
  readonly nonce: string;
}

/**
 * A control plane that checks nothing: it gives every client what it asks for and holds, good or bad. What clients refuse is in `refusals`, by node id.
 */
export class OpenAds {
  readonly refusals = new Map<string, Set<string>>();
  /** Streams opened so far. */
  streams = 0;
  readonly #held = new Map<string, RawAny>();
  readonly #open = new Map<Stream, Map<ResourceType, Asked>>();
  #version = 0;

  private constructor(
    private readonly server: grpc.Server,
    /** Each resource in a `Resource` of its own (xRFC TP2). */
    private readonly wrap: boolean,
  ) {}

  /** On a free port of loopback; `services` are offered beside discovery. */
  static async start(
    resources: Resources,
    options: { wrap?: boolean; services?: readonly [grpc.ServiceDefinition, grpc.UntypedServiceImplementation][] } = {},
  ): Promise<{ ads: OpenAds; port: number }> {
    const server = new grpc.Server();
    const ads = new OpenAds(server, options.wrap ?? false);
    for (const type of [LISTENER, ROUTE, CLUSTER, ENDPOINT] as const) {
      for (const resource of resources[type] ?? []) ads.#hold(type, resource);
    }
    server.addService(
      { StreamAggregatedResources: METHOD },
      { StreamAggregatedResources: (call: Stream) => ads.#serve(call) },
    );
    for (const [definition, implementation] of options.services ?? []) server.addService(definition, implementation);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return { ads, port };
  }

  /** Holds the resource from now on, and sends it to who asked for it. */
  put(type: ResourceType, resource: Resource): void {
    this.#push(type, this.#hold(type, resource));
  }

  /** Holds it no more; over LDS and CDS that is a deletion. */
  drop(type: ResourceType, name: string): void {
    this.#held.delete(`${type} ${name}`);
    this.#push(type, name);
  }

  /** Ends every stream with OK. */
  endStreams(): void {
    for (const call of this.#open.keys()) call.end();
    this.#open.clear();
  }

  close(): void {
    this.server.forceShutdown();
  }

  #hold(type: ResourceType, resource: Resource): string {
    const name = String(resource[type === ENDPOINT ? 'cluster_name' : 'name'] ?? '');
    const packed = { type_url: type, value: codec.encodeResource(type, resource) };
    this.#held.set(`${type} ${name}`, this.wrap ? this.#wrapped(name, packed) : packed);
    return name;
  }

  #wrapped(name: string, resource: RawAny): RawAny {
    const value = codec.encodeMessage(WRAPPER, { name, version: '1', resource });
    return { type_url: `type.googleapis.com/${WRAPPER}`, value };
  }

  #serve(call: Stream): void {
    this.streams++;
    const asked = new Map<ResourceType, Asked>();
    this.#open.set(call, asked);
    let node = '';
    call.on('error', () => {});
    call.on('close', () => this.#open.delete(call));
    call.on('end', () => call.end());
    call.on('data', (request: DiscoveryRequest) => {
      if (request.node !== undefined) node = String(request.node['id']);
      const type = request.type_url as ResourceType;
      if (request.error_detail !== undefined) this.#refused(node, request.error_detail.message ?? '');
      const names = [...(request.resource_names ?? [])].sort();
      const before = asked.get(type);
      if (before !== undefined && before.names.join('\n') === names.join('\n')) return;
      this.#send(call, asked, type, names);
    });
  }

  #push(type: ResourceType, name: string): void {
    for (const [call, asked] of this.#open) {
      const names = asked.get(type)?.names;
      if (names?.includes(name)) this.#send(call, asked, type, names);
    }
  }

  #send(call: Stream, asked: Map<ResourceType, Asked>, type: ResourceType, names: readonly string[]): void {
    const version = `${++this.#version}`;
    asked.set(type, { names, nonce: version });
    const resources = names.flatMap((name) => this.#held.get(`${type} ${name}`) ?? []);
    call.write({ type_url: type, version_info: version, nonce: version, resources });
  }

  #refused(node: string, message: string): void {
    const refusals = this.refusals.get(node) ?? new Set();
    this.refusals.set(node, refusals.add(message));
  }
}
