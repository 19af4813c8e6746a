import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

/** How a call is failed, and how often: `<count>;<grpc-status>`, or `hang` for no answer at all; counted by `x-call-id`. */
export const FAIL = 'x-fail';
const CALL_ID = 'x-call-id';

/** A gRPC server of any method: answers with what it saw, as its message. */
export class GrpcBackend {
  readonly #sessions = new Set<http2.ServerHttp2Session>();
  readonly #failed = new Map<string, number>();

  private constructor(private readonly server: http2.Http2Server) {}

  static async start(): Promise<GrpcBackend> {
    const server = http2.createServer();
    const backend = new GrpcBackend(server);
    server.on('session', (session) => {
      backend.#sessions.add(session);
      session.on('close', () => backend.#sessions.delete(session));
    });
    server.on('stream', (stream, headers) => backend.#serve(stream, headers));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const session of this.#sessions) session.destroy();
    await closed;
  }

  #serve(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
    stream.resume();
    stream.on('error', () => {});
    const [count = '0', how = ''] = String(headers[FAIL] ?? '').split(';');
    const call = String(headers[CALL_ID]);
    const failed = this.#failed.get(call) ?? 0;
    const common = { ':status': 200, 'content-type': 'application/grpc', 'x-reply': 'first' };
    if (failed < Number(count)) {
      this.#failed.set(call, failed + 1);
      if (how !== 'hang')
        stream.respond({ ...common, 'grpc-status': how, 'grpc-message': 'as asked' }, { endStream: true });
      return;
    }
    const seen = {
      path: headers[':path'],
      authority: headers[':authority'],
      fields: Object.entries(headers)
        // Fields of Envoy's own a gRPC server does not know; ours sends it gRPC's in their place.
        .filter(([name]) => /^(?:x-(?!call|envoy-|forwarded-(?:proto|for)|request-id))/.test(name))
        .map(([name, value]) => `${name}: ${String(value)}`)
        .sort(),
      attempts: failed + 1,
    };
    const message = Buffer.from(JSON.stringify(seen));
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(message.length, 1);
    stream.respond(common, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-trailer': 'last' }));
    stream.end(Buffer.concat([frame, message]));
  }
}

/** What came of a call: head, message, trailers. */
export interface GrpcOutcome {
  readonly status: number;
  readonly headers: readonly string[];
  readonly message: unknown;
  readonly trailers: readonly string[];
}

/** Fields of one hop, of one program or of one moment; why something failed each says in its own words. */
const OWN = /^(?::|date$|via$|server$|x-envoy-upstream-service-time$|mesh-error$|grpc-message$|content-length$)/;
const shown = (fields: http2.IncomingHttpHeaders): string[] =>
  Object.entries(fields)
    .filter(([name]) => !OWN.test(name))
    .map(([name, value]) => `${name}: ${String(value)}`)
    .sort();

/** A client of gRPC that shows the whole reply. */
export class GrpcCaller {
  readonly #session: http2.ClientHttp2Session;

  constructor(port: number) {
    this.#session = http2.connect(`http://127.0.0.1:${port}`);
    this.#session.on('error', () => {});
  }

  async call(authority: string, path: string, fields: Readonly<Record<string, string>>): Promise<GrpcOutcome> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':authority': authority,
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...fields,
    });
    stream.end(Buffer.alloc(5));
    let trailers: string[] = [];
    stream.on('trailers', (block: http2.IncomingHttpHeaders) => {
      trailers = shown(block);
    });
    const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const isGrpc = bytes.length >= 5 && bytes.readUInt32BE(1) === bytes.length - 5;
    const message: unknown = isGrpc ? JSON.parse(bytes.toString('utf8', 5)) : bytes.toString();
    return { status: Number(headers[':status']), headers: shown(headers), message, trailers };
  }

  close(): void {
    this.#session.destroy();
  }
}
