import * as grpc from '@grpc/grpc-js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceType,
  ROUTE,
} from '../../../../src/core/resources.js';
import {
  adsService,
  type DiscoveryRequest,
  type DiscoveryResponse,
  loadCodec,
  type RawAny,
} from '../../../../src/xds/wire/index.js';

const codec = await loadCodec();
const METHOD = adsService(codec).StreamAggregatedResources;

/**
 * A control plane that checks nothing: it gives every client what it asks for and holds, good or bad. What it is told that a client refuses is in `refusals`,
 * by node id.
 */
export class OpenAds {
  readonly refusals = new Map<string, Set<string>>();
  readonly #held = new Map<string, RawAny>();
  readonly #server = new grpc.Server();

  private constructor(readonly resources: Readonly<Record<ResourceType, readonly Resource[]>>) {
    for (const type of [LISTENER, ROUTE, CLUSTER, ENDPOINT] as const) {
      for (const resource of resources[type]) {
        const name = String(resource[type === ENDPOINT ? 'cluster_name' : 'name']);
        this.#held.set(`${type} ${name}`, { type_url: type, value: codec.encodeResource(type, resource) });
      }
    }
    this.#server.addService(
      { StreamAggregatedResources: METHOD },
      { StreamAggregatedResources: (call: Stream) => this.#serve(call) },
    );
  }

  static async start(resources: OpenAds['resources']): Promise<{ ads: OpenAds; port: number }> {
    const ads = new OpenAds(resources);
    const port = await new Promise<number>((resolve, reject) => {
      ads.#server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return { ads, port };
  }

  close(): void {
    this.#server.forceShutdown();
  }

  #serve(call: Stream): void {
    const answered = new Map<string, string>();
    let node = '';
    let count = 0;
    call.on('error', () => {});
    call.on('end', () => call.end());
    call.on('data', (request: DiscoveryRequest) => {
      if (request.node !== undefined) node = String(request.node['id']);
      const type = request.type_url ?? '';
      if (request.error_detail !== undefined) this.#refused(node, request.error_detail.message ?? '');
      const names = [...(request.resource_names ?? [])].sort();
      const key = names.join('\n');
      if (answered.get(type) === key) return;
      answered.set(type, key);
      const resources = names.flatMap((name) => this.#held.get(`${type} ${name}`) ?? []);
      const version = `${++count}`;
      call.write({ type_url: type, version_info: version, nonce: version, resources });
    });
  }

  #refused(node: string, message: string): void {
    const refusals = this.refusals.get(node) ?? new Set();
    this.refusals.set(node, refusals.add(message));
  }
}

type Stream = grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>;
