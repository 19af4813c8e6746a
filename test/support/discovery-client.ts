import {
  type ClientDuplexStream,
  Client,
  credentials,
  type MethodDefinition,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import type { Resource, ResourceType } from '../../src/core/resources.js';
import {
  type Codec,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  discoveryMethods,
} from '../../src/xds/wire/index.js';

/** One stream of any discovery method on a real connection: a test says what it sends and sees what arrives. */
export class DiscoveryClient<Request, Response> {
  readonly responses: Response[] = [];
  /** How the stream ended. */
  readonly ended: Promise<StatusObject>;
  readonly #client: Client;
  readonly #stream: ClientDuplexStream<Request, Response>;
  readonly #waiting: ((response: Response) => void)[] = [];

  constructor(port: number, method: MethodDefinition<Request, Response>) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = method;
    this.#stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.ended = new Promise((resolve) => this.#stream.once('status', resolve));
    this.#stream.on('error', (_error: ServiceError) => {});
    this.#stream.on('data', (response: Response) => {
      this.responses.push(response);
      this.#waiting.shift()?.(response);
    });
  }

  send(request: Request): void {
    this.#stream.write(request);
  }

  /** The next response to arrive. */
  next(): Promise<Response> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#stream.cancel();
    this.#client.close();
  }
}

/** A stream of the incremental protocol, aggregated or of one type. */
export class DeltaClient extends DiscoveryClient<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  constructor(
    port: number,
    private readonly codec: Codec,
    only?: ResourceType,
  ) {
    super(port, discoveryMethods(codec, only).delta);
  }

  /** What a request asks for, spontaneously: without a nonce. */
  ask(type: ResourceType, subscribe: readonly string[], more: DeltaDiscoveryRequest = {}): void {
    this.send({ type_url: type, resource_names_subscribe: subscribe, ...more });
  }

  unsubscribe(type: ResourceType, ...names: string[]): void {
    this.send({ type_url: type, resource_names_unsubscribe: names });
  }

  ack({ type_url, nonce }: DeltaDiscoveryResponse, more: DeltaDiscoveryRequest = {}): void {
    this.send({ type_url: type_url ?? '', response_nonce: nonce ?? '', ...more });
  }

  nack(response: DeltaDiscoveryResponse, message: string): void {
    this.ack(response, { error_detail: { code: 3, message } });
  }

  /** The next response, which is accepted. */
  async accept(): Promise<DeltaDiscoveryResponse> {
    const response = await this.next();
    this.ack(response);
    return response;
  }

  decoded(response: DeltaDiscoveryResponse): Resource[] {
    return (response.resources ?? []).flatMap(({ resource }) =>
      resource === undefined ? [] : [this.codec.decodeResource(resource.type_url, resource.value)],
    );
  }
}

/** A stream of the state-of-the-world protocol of one type. */
export class SingleTypeClient extends DiscoveryClient<DiscoveryRequest, DiscoveryResponse> {
  constructor(port: number, codec: Codec, only: ResourceType) {
    super(port, discoveryMethods(codec, only).stream);
  }
}

/** `+added -removed` of a delta response, in order. */
export function told({ resources, removed_resources }: DeltaDiscoveryResponse): string[] {
  const added = (resources ?? []).map(({ name }) => `+${name}`);
  return [...added, ...(removed_resources ?? []).map((name) => `-${name}`)];
}
