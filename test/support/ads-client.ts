import { type ClientDuplexStream, Client, credentials, type ServiceError, type StatusObject } from '@grpc/grpc-js';
import type { Resource, ResourceType } from '../../src/core/resources.js';
import { adsService, type Codec, type DiscoveryRequest, type DiscoveryResponse } from '../../src/xds/wire/index.js';

/** A scripted xDS client on a real connection: a test says what it sends and sees what arrives. */
export class ScriptedAdsClient {
  readonly responses: DiscoveryResponse[] = [];
  /** How the stream ended. */
  readonly ended: Promise<StatusObject>;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<DiscoveryRequest, DiscoveryResponse>;
  readonly #waiting: ((response: DiscoveryResponse) => void)[] = [];

  constructor(
    port: number,
    private readonly codec: Codec,
    private readonly nodeId = 'test-node',
  ) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = adsService(codec).StreamAggregatedResources;
    this.#stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.ended = new Promise((resolve) => this.#stream.once('status', resolve));
    this.#stream.on('error', (_error: ServiceError) => {});
    this.#stream.on('data', (response: DiscoveryResponse) => {
      this.responses.push(response);
      this.#waiting.shift()?.(response);
    });
  }

  send(request: DiscoveryRequest): void {
    this.#stream.write(request);
  }

  /** The first request of a type, with the node. */
  subscribe(type: ResourceType, names: readonly string[] = []): void {
    const node = { id: this.nodeId, cluster: 'tests', user_agent_name: 'scripted', user_agent_version: '1.0' };
    this.send({ node, type_url: type, resource_names: names });
  }

  ack(response: DiscoveryResponse, names: readonly string[] = []): void {
    const { type_url, version_info, nonce } = response;
    this.send({
      type_url: type_url ?? '',
      version_info: version_info ?? '',
      response_nonce: nonce ?? '',
      resource_names: names,
    });
  }

  nack(response: DiscoveryResponse, message: string, names: readonly string[] = []): void {
    const { type_url, nonce } = response;
    this.send({
      type_url: type_url ?? '',
      response_nonce: nonce ?? '',
      resource_names: names,
      error_detail: { code: 3, message },
    });
  }

  /** The next response to arrive. */
  next(): Promise<DiscoveryResponse> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A response's resources, decoded. */
  decoded(response: DiscoveryResponse): Resource[] {
    return (response.resources ?? []).map(({ type_url, value }) => this.codec.decodeResource(type_url, value));
  }

  /** Closes our half of the stream. */
  end(): void {
    this.#stream.end();
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}
