import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { type Body, StreamBody } from '../../src/core/body.js';
import type { Call } from '../../src/core/call.js';
import { CancelledError } from '../../src/core/errors.js';
import { type HeaderFields, headerFields } from '../../src/core/headers.js';
import { type Reply, ReplyEnding } from '../../src/core/reply.js';
import type { Service } from '../../src/core/service.js';
import { type MeshProxy, type ProxyOptions, startProxy } from '../../src/proxy/index.js';

/** Closed in reverse order after each test. */
export class Cleanup {
  readonly #tasks: (() => unknown)[] = [];
  add<T>(value: T, close: (value: T) => unknown): T {
    this.#tasks.push(() => close(value));
    return value;
  }
  async run(): Promise<void> {
    for (const task of this.#tasks.splice(0).reverse()) await task();
  }
}

export const proxyFor = async (
  cleanup: Cleanup,
  service: Service,
  options: Partial<ProxyOptions> = {},
): Promise<MeshProxy> =>
  cleanup.add(await startProxy({ service, listen: '127.0.0.1:0', ...options }), (proxy) => proxy.close({ graceMs: 0 }));

/** A reply whose body the test feeds. */
export function openReply(status = 200, headers: Record<string, string | string[]> = {}) {
  const ending = new ReplyEnding();
  const state = { resumed: 0, cancelled: false };
  const waiting: (() => void)[] = [];
  const body = new StreamBody({
    resume() {
      state.resumed++;
      for (const wake of waiting.splice(0)) wake();
    },
    cancel() {
      state.cancelled = true;
      for (const wake of waiting.splice(0)) wake();
    },
  });
  const reply: Reply = { status, headers: headerFields(headers), body, onEnd: (listener) => ending.onEnd(listener) };
  /** Resolves when the consumer has room again, or is gone. */
  const room = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));
  return { reply, body, state, room };
}

/** The whole of a request body, with its trailers. */
export const bodyOf = (call: Call): Promise<{ bytes: Buffer; trailers: HeaderFields | undefined }> =>
  new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    if (call.body === undefined) return resolve({ bytes: Buffer.alloc(0), trailers: undefined });
    call.body.pipe({
      write: (chunk) => chunks.push(chunk) > 0,
      end: (trailers) => resolve({ bytes: Buffer.concat(chunks), trailers }),
      fail: reject,
    });
  });

/** A promise and the ways to settle it (Promise.withResolvers, which Node 20 lacks). */
export function deferred<T>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((...both) => {
    [resolve, reject] = both;
  });
  return { promise, resolve, reject };
}

/** A server that listens on a free port of loopback. */
export async function listening<T extends net.Server>(
  cleanup: Cleanup,
  server: T,
): Promise<{ server: T; port: number }> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(server, () => {
    for (const socket of sockets) socket.destroy();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { server, port: (server.address() as net.AddressInfo).port };
}

/** A service that sends every call to one real server: HTTP/1.1, or HTTP/2 for `http2`. Small, and not ours to ship. */
export function serviceTo(port: number, cleanup: Cleanup, protocol: 'http1' | 'http2' = 'http1'): Service {
  if (protocol === 'http1') {
    const agent = cleanup.add(new http.Agent({ keepAlive: true }), (it) => it.destroy());
    return (call) =>
      new Promise((resolve, reject) => {
        const request = http.request({
          port,
          agent,
          method: call.method,
          path: call.path,
          headers: { ...call.headers, host: call.host },
        });
        request.on('error', reject);
        request.on('response', (response) => {
          const reply = fromReadable(
            response,
            response.statusCode ?? 0,
            headerFields(response.headers),
            () => response.trailers,
            () => request.destroy(),
          );
          resolve(reply);
        });
        call.cancellation.add(() => request.destroy());
        request.flushHeaders();
        send(call.body, request, (trailers) => request.addTrailers(trailers as Record<string, string>));
      });
  }
  const session = cleanup.add(http2.connect(`http://127.0.0.1:${port}`), (it) => it.destroy());
  session.on('error', () => {});
  return (call) =>
    new Promise((resolve, reject) => {
      const { authority } = call;
      const stream = session.request(
        { ...call.headers, ':method': call.method, ':path': call.path, ':authority': authority },
        { endStream: call.body === undefined },
      );
      let trailers: HeaderFields | undefined;
      stream.on('trailers', (fields) => {
        trailers = headerFields(fields as Record<string, string>);
      });
      stream.on('error', reject);
      stream.on('response', (fields) => {
        const { ':status': status, ...rest } = fields;
        resolve(
          fromReadable(
            stream,
            Number(status),
            headerFields(rest as Record<string, string>),
            () => trailers,
            () => stream.close(8),
          ),
        );
      });
      call.cancellation.add(() => stream.close(8));
      if (call.body !== undefined) send(call.body, stream, () => {});
    });
}

function fromReadable(
  source: NodeJS.ReadableStream & { destroy(): void },
  status: number,
  headers: HeaderFields,
  trailers: () => Record<string, string | string[] | undefined> | undefined,
  cancel: () => void,
): Reply {
  const ending = new ReplyEnding();
  const body = new StreamBody({ resume: () => source.resume(), cancel });
  source.on('data', (chunk: Buffer) => {
    if (!body.write(chunk)) source.pause();
  });
  source.on('end', () => body.end(trailers() === undefined ? undefined : headerFields(trailers())));
  source.on('error', () => body.fail(new CancelledError('upstream broke off')));
  source.on('close', () => body.fail(new CancelledError('upstream broke off')));
  return { status, headers, body, onEnd: (listener) => ending.onEnd(listener) };
}

function send(body: Body | undefined, to: NodeJS.WritableStream, onTrailers: (trailers: HeaderFields) => void): void {
  if (body === undefined) {
    to.end();
    return;
  }
  const flow = body.pipe({
    write: (chunk) => to.write(chunk),
    end: (trailers) => {
      if (trailers !== undefined) onTrailers(trailers);
      to.end();
    },
    fail: () => (to as NodeJS.WritableStream & { destroy(): void }).destroy(),
  });
  to.on('drain', () => flow.resume());
}

/** Writes bytes to a port and resolves with all that comes back until the other side closes. */
export const raw = (port: number, text: string | Uint8Array): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
    socket.on('error', reject);
  });

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  readonly trailers: NodeJS.Dict<string>;
}

/** One HTTP/1.1 request on a connection of its own. */
export const get = (port: number, options: http.RequestOptions = {}, body?: string | Uint8Array): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const request = http.request({ port, host: '127.0.0.1', agent: false, ...options }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
          trailers: response.trailers,
        }),
      );
    });
    request.on('error', reject);
    request.end(body);
  });

/** One HTTP/2 session with prior knowledge. */
export const session = (cleanup: Cleanup, proxy: MeshProxy): http2.ClientHttp2Session => {
  const opened = cleanup.add(http2.connect(proxy.url), (it) => it.destroy());
  opened.on('error', () => {});
  return opened;
};

export interface H2Answer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders | undefined;
  readonly resetCode: number | undefined;
}

/** The whole answer on a stream; `resetCode` is what it was closed with. */
export const answerOf = (stream: http2.ClientHttp2Stream): Promise<H2Answer> =>
  new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let headers: H2Answer['headers'] = {};
    let trailers: http2.IncomingHttpHeaders | undefined;
    stream.on('response', (fields) => {
      headers = fields;
    });
    stream.on('trailers', (fields) => {
      trailers = fields;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', () => {});
    stream.on('close', () => resolve({ headers, body: Buffer.concat(chunks), trailers, resetCode: stream.rstCode }));
  });
