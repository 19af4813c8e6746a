import * as grpc from '@grpc/grpc-js';
import { adsService, type DiscoveryRequest, type DiscoveryResponse, loadCodec } from '../../src/xds/wire/index.js';
import { Mailbox } from './mailbox.js';
import { listen, ServerStream } from './scripted-stream.js';

export class ScriptedStream extends ServerStream<DiscoveryRequest, DiscoveryResponse> {}

/** An ADS server, on a real socket, that does what a test tells it. */
export class ScriptedAds {
  readonly #streams = new Mailbox<ScriptedStream>();
  readonly #server: grpc.Server;
  port = 0;

  private constructor(server: grpc.Server) {
    this.#server = server;
  }

  static async start(port = 0, credentials = grpc.ServerCredentials.createInsecure()): Promise<ScriptedAds> {
    const { StreamAggregatedResources: method } = adsService(await loadCodec());
    const scripted = new ScriptedAds(new grpc.Server());
    const definition = {
      ...method,
      responseSerialize: (value: DiscoveryResponse | Buffer) =>
        Buffer.isBuffer(value) ? value : method.responseSerialize(value),
    };
    scripted.#server.addService(
      { StreamAggregatedResources: definition },
      {
        StreamAggregatedResources: (call: grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse | Buffer>) =>
          scripted.#streams.put(new ScriptedStream(call)),
      },
    );
    scripted.port = await listen(scripted.#server, port, credentials);
    return scripted;
  }

  get uri(): string {
    return `127.0.0.1:${this.port}`;
  }

  nextStream(): Promise<ScriptedStream> {
    return this.#streams.take();
  }

  /** Cuts every connection. */
  close(): void {
    this.#server.forceShutdown();
  }
}
