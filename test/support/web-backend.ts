import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';

/** A server over HTTP/1.1 that says its name; what else it does can be changed while it runs. */
export class WebBackend {
  /** Requests that arrived, without those for /healthz. */
  seen = 0;
  healthy = true;
  /** Header fields of each answer. */
  headers: Record<string, string> = {};

  private constructor(
    readonly port: number,
    private readonly server: http.Server,
  ) {}

  static async start(name: string): Promise<WebBackend> {
    const server = http.createServer((request, response) => {
      if (request.url === '/healthz') {
        response.statusCode = backend.healthy ? 200 : 503;
        response.end();
        return;
      }
      backend.seen++;
      for (const [header, value] of Object.entries(backend.headers)) response.setHeader(header, value);
      response.end(name);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const backend = new WebBackend((server.address() as AddressInfo).port, server);
    return backend;
  }

  /** Answers what has begun, and ends its idle connections. */
  async stop(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeIdleConnections();
    await closed;
  }

  kill(): void {
    this.server.close();
    this.server.closeAllConnections();
  }
}

/** A server over HTTP/2 that answers gRPC calls with a status, and others with 200 and its name. */
export class DualBackend {
  readonly seen = { grpc: 0, http: 0 };
  grpcStatus = 0;
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  private constructor(
    readonly port: number,
    private readonly server: http2.Http2Server,
  ) {}

  static async start(name: string): Promise<DualBackend> {
    const server = http2.createServer();
    server.on('session', (session) => {
      backend.#sessions.add(session);
      session.on('close', () => backend.#sessions.delete(session));
    });
    server.on('stream', (stream, headers) => {
      stream.on('error', () => {});
      if (!String(headers['content-type']).startsWith('application/grpc')) {
        backend.seen.http++;
        stream.respond({ ':status': 200 });
        stream.end(name);
        return;
      }
      backend.seen.grpc++;
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(backend.grpcStatus) },
        { endStream: true },
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const backend = new DualBackend((server.address() as AddressInfo).port, server);
    return backend;
  }

  kill(): void {
    this.server.close();
    for (const session of this.#sessions) session.destroy();
  }
}
