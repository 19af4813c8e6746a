import * as grpc from '@grpc/grpc-js';
import type { ClusterStats, LoadStatsResponse } from '../../src/xds/lrs/messages.js';
import { loadCodec } from '../../src/xds/wire/index.js';
import { Mailbox } from './mailbox.js';

const PACKAGE = 'envoy.service.load_stats.v3';

/** What a client sends, as it arrives. */
export interface LoadStatsRequest {
  readonly node?: Readonly<Record<string, unknown>>;
  readonly cluster_stats?: readonly ClusterStats[];
}

type Call = grpc.ServerDuplexStream<LoadStatsRequest, LoadStatsResponse | Buffer>;

/** One stream as the server has it. Requests are kept until they are asked for, in order. */
export class LrsStream {
  readonly #requests = new Mailbox<LoadStatsRequest>();
  readonly ended: Promise<void>;

  constructor(private readonly call: Call) {
    call.on('data', (request: LoadStatsRequest) => this.#requests.put(request));
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

  next(): Promise<LoadStatsRequest> {
    return this.#requests.take();
  }

  /** A message, or bytes that pretend to be one. */
  send(response: LoadStatsResponse | Buffer): void {
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

function listen(server: grpc.Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
}
