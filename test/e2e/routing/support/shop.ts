import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A request as a server saw it. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly grpc: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** As text, once it has come whole. */
  body: string | undefined;
}

/** What a server does with each request. `deaf`: it does not read the body, and answers nothing. */
export type Manner = 'answer' | 'hang' | 'reset' | 'deaf';

/** A server over HTTP/2 that answers HTTP and gRPC alike with its name, and keeps what it saw. */
export class Shop {
  readonly seen: Seen[] = [];
  manner: Manner = 'answer';
  /** Header fields of each answer. */
  headers: Readonly<Record<string, string>> = {};
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  private constructor(
    readonly name: string,
    private readonly server: http2.Http2Server,
  ) {}

  static async start(name: string): Promise<Shop> {
    // A small window, so that a body that is not read stops soon.
    const server = http2.createServer({ settings: { initialWindowSize: 1_024 } });
    const shop = new Shop(name, server);
    server.on('session', (session) => {
      shop.#sessions.add(session);
      session.on('error', () => {});
      session.on('close', () => shop.#sessions.delete(session));
    });
    server.on('stream', (stream, headers) => shop.#serve(stream, headers));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return shop;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get last(): Seen | undefined {
    return this.seen.at(-1);
  }

  kill(): void {
    this.server.close();
    for (const session of this.#sessions) session.destroy();
  }

  #serve(stream: http2.ServerHttp2Stream, fields: http2.IncomingHttpHeaders): void {
    stream.on('error', () => {});
    const { ':method': method = '', ':path': path = '', ':authority': host = '' } = fields;
    const headers: Record<string, string> = {};
    for (const [field, value] of Object.entries(fields)) if (!field.startsWith(':')) headers[field] = String(value);
    const grpc = headers['content-type']?.startsWith('application/grpc') === true;
    const seen: Seen = { method, path, host, grpc, headers, body: undefined };
    this.seen.push(seen);
    if (this.manner === 'deaf') return;
    if (this.manner === 'reset') {
      stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      seen.body = Buffer.concat(chunks).toString();
      if (this.manner === 'answer') this.#answer(stream, grpc);
    });
  }

  #answer(stream: http2.ServerHttp2Stream, grpc: boolean): void {
    if (!grpc) {
      stream.respond({ ':status': 200, ...this.headers });
      stream.end(this.name);
      return;
    }
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...this.headers }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    const message = Buffer.from(this.name);
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([frame, message]));
  }
}
