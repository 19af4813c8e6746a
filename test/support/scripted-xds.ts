import * as grpc from '@grpc/grpc-js';
import { RESOURCE_TYPES, type ResourceType } from '../../src/core/resources.js';
import {
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
  discoveryMethods,
  loadCodec,
} from '../../src/xds/wire/index.js';
import { Mailbox } from './mailbox.js';
import { listen, ServerStream } from './scripted-stream.js';

/** A request of either protocol: their fields do not contradict each other. */
export type AnyRequest = DiscoveryRequest & DeltaDiscoveryRequest;
export type AnyResponse = DiscoveryResponse | DeltaDiscoveryResponse | Buffer;

export class XdsServerStream extends ServerStream<AnyRequest, AnyResponse> {
  /** `host:port` of the client: the same for streams on one connection. */
  readonly peer: string;

  constructor(
    call: grpc.ServerDuplexStream<AnyRequest, AnyResponse>,
    /** The method, without its service: `StreamAggregatedResources`, `DeltaClusters`. */
    readonly method: string,
  ) {
    super(call);
    this.peer = call.getPeer();
  }
}

/** Which of the four variants a server has. */
export interface Variants {
  readonly sotw: boolean;
  readonly delta: boolean;
}

/** An xDS server, on a real socket, that does what a test tells it: every method of every discovery service. */
export class ScriptedXds {
  readonly #streams = new Mailbox<XdsServerStream>();
  readonly #server = new grpc.Server();
  port = 0;

  static async start(port = 0, variants: Variants = { sotw: true, delta: true }): Promise<ScriptedXds> {
    const scripted = new ScriptedXds();
    for (const type of [undefined, ...RESOURCE_TYPES]) await scripted.#serve(type, variants);
    scripted.port = await listen(scripted.#server, port);
    return scripted;
  }

  get uri(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Streams that were opened and nobody has looked at. */
  get unread(): number {
    return this.#streams.size;
  }

  nextStream(): Promise<XdsServerStream> {
    return this.#streams.take();
  }

  /** Cuts every connection. */
  close(): void {
    this.#server.forceShutdown();
  }

  async #serve(type: ResourceType | undefined, { sotw, delta }: Variants): Promise<void> {
    const methods = discoveryMethods(await loadCodec(), type);
    const served = [...(sotw ? [methods.stream] : []), ...(delta ? [methods.delta] : [])];
    for (const method of served) {
      const name = method.path.slice(method.path.lastIndexOf('/') + 1);
      const responseSerialize = (value: AnyResponse): Buffer =>
        Buffer.isBuffer(value) ? value : (method.responseSerialize as (response: object) => Buffer)(value);
      this.#server.addService(
        { [name]: { ...(method as grpc.MethodDefinition<object, object>), responseSerialize } },
        {
          [name]: (call: grpc.ServerDuplexStream<AnyRequest, AnyResponse>) =>
            this.#streams.put(new XdsServerStream(call, name)),
        },
      );
    }
  }
}
