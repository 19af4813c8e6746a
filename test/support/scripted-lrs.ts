import * as grpc from '@grpc/grpc-js';
import type { ClusterStats, LoadStatsResponse } from '../../src/xds/lrs/messages.js';
import { loadCodec } from '../../src/xds/wire/index.js';
import { Mailbox } from './mailbox.js';
import { listen, ServerStream } from './scripted-stream.js';

const PACKAGE = 'envoy.service.load_stats.v3';

/** What a client sends, as it arrives. */
export interface LoadStatsRequest {
  readonly node?: Readonly<Record<string, unknown>>;
  readonly cluster_stats?: readonly ClusterStats[];
}

type Call = grpc.ServerDuplexStream<LoadStatsRequest, LoadStatsResponse | Buffer>;

export class LrsStream extends ServerStream<LoadStatsRequest, LoadStatsResponse> {}

/** A load reporting server, on a real socket, that does what a test tells it. */
export class ScriptedLrs {
  readonly #streams = new Mailbox<LrsStream>();
  readonly #server = new grpc.Server();
  port = 0;

  /** `also` may add services of its own before the server listens. */
  static async start(port = 0, also: (server: grpc.Server) => void = () => {}): Promise<ScriptedLrs> {
    const codec = await loadCodec();
    const scripted = new ScriptedLrs();
    const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const method: grpc.MethodDefinition<LoadStatsRequest, LoadStatsResponse | Buffer> = {
      path: `/${PACKAGE}.LoadReportingService/StreamLoadStats`,
      requestStream: true,
      responseStream: true,
      requestSerialize: (request) => asBuffer(codec.encodeMessage(`${PACKAGE}.LoadStatsRequest`, request)),
      requestDeserialize: (bytes) => codec.decodeMessage(`${PACKAGE}.LoadStatsRequest`, bytes) as LoadStatsRequest,
      responseSerialize: (response) =>
        Buffer.isBuffer(response) ? response : asBuffer(codec.encodeMessage(`${PACKAGE}.LoadStatsResponse`, response)),
      responseDeserialize: (bytes) => codec.decodeMessage(`${PACKAGE}.LoadStatsResponse`, bytes) as LoadStatsResponse,
    };
    const handler = (call: Call): void => scripted.#streams.put(new LrsStream(call));
    scripted.#server.addService({ StreamLoadStats: method }, { StreamLoadStats: handler });
    also(scripted.#server);
    scripted.port = await listen(scripted.#server, port);
    return scripted;
  }

  get uri(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Streams that were opened and nobody has asked for. */
  get unclaimed(): number {
    return this.#streams.size;
  }

  nextStream(): Promise<LrsStream> {
    return this.#streams.take();
  }

  /** Cuts every connection. */
  close(): void {
    this.#server.forceShutdown();
  }
}

/** A gRPC server that speaks no LRS: it answers UNIMPLEMENTED. */
export async function startWithoutLrs(port = 0): Promise<{ readonly port: number; close(): void }> {
  const server = new grpc.Server();
  const bound = await listen(server, port);
  return { port: bound, close: () => server.forceShutdown() };
}
