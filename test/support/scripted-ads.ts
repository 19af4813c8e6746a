import * as grpc from '@grpc/grpc-js';
import { adsService, type DiscoveryRequest, type DiscoveryResponse, loadCodec } from '../../src/xds/wire/index.js';
import { Mailbox } from './mailbox.js';

/** One stream as the server has it. Requests are kept until they are asked for, in order. */
export class ScriptedStream {
  readonly #requests = new Mailbox<DiscoveryRequest>();
  readonly ended: Promise<void>;

  constructor(private readonly call: grpc.ServerDuplexStream<DiscoveryRequest, DiscoveryResponse | Buffer>) {
    call.on('data', (request: DiscoveryRequest) => this.#requests.put(request));
    call.on('error', () => {});
    this.ended = new Promise((resolve) => {
      call.on('cancelled', () => resolve());
      call.on('end', () => resolve());
    });
  }

  /** Requests that have arrived and nobody has looked at. */
  get unread(): number {
    return this.#requests.size;
  }

  next(): Promise<DiscoveryRequest> {
    return this.#requests.take();
  }

  /** A message, or bytes that pretend to be one. */
  send(response: DiscoveryResponse | Buffer): void {
    this.call.write(response);
  }

  /** Ends it with OK. */
  end(): void {
    this.call.end();
  }

  fail(code: grpc.status, details: string): void {
    this.call.emit('error', { code, details });
  }
}

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
    scripted.port = await new Promise<number>((resolve, reject) => {
      scripted.#server.bindAsync(`127.0.0.1:${port}`, credentials, (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
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
