import { createServer, type Http2Server, type ServerHttp2Session, type ServerOptions } from 'node:http2';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { http2Transport } from '../../src/client/transport/http2/transport.js';
import { DEFAULT_HTTP2_SETTINGS, type Http2Settings } from '../../src/client/transport/http2/settings.js';
import { type Body, BytesBody, collect, StreamBody } from '../../src/core/body.js';
import { Call, type CallInit } from '../../src/core/call.js';
import { systemClock } from '../../src/core/clock.js';
import { headerFields } from '../../src/core/headers.js';
import { silentLogger } from '../../src/core/log.js';
import type { EndpointConfig } from '../../src/core/model/endpoint.js';
import type { Reply, ReplyEnd } from '../../src/core/reply.js';
import type { Transport, TransportOptions } from '../../src/core/transport.js';
import { CountingLimits } from './counting-limits.js';

export const endpointAt = (port: number, host = '127.0.0.1'): EndpointConfig => ({
  key: `${host}:${port}`,
  addresses: [{ host, port }],
  hostname: undefined,
  weight: 1,
  locality: { region: '', zone: '', subZone: '' },
  localityWeight: 1,
  priority: 0,
  health: 'healthy',
  labels: {},
});

export interface RunningServer {
  readonly port: number;
  readonly sessions: Set<ServerHttp2Session>;
  readonly server: Http2Server;
  close(): Promise<void>;
}

export async function http2Server(options: ServerOptions = {}): Promise<RunningServer> {
  const server = createServer(options);
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => {});
    session.on('close', () => sessions.delete(session));
  });
  server.on('sessionError', () => {});
  server.on('stream', (stream) => stream.on('error', () => {}));
  const port = await listen(server);
  return {
    port,
    sessions,
    server,
    close: () =>
      new Promise((resolve) => {
        for (const session of sessions) session.destroy();
        server.close(() => resolve());
      }),
  };
}

/** A server that speaks whatever `serve` writes: for peers that break the protocol. */
export async function rawServer(
  serve: (socket: Socket) => void,
): Promise<{ port: number; sockets: Set<Socket>; close(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    serve(socket);
  });
  const port = await listen(server);
  return {
    port,
    sockets,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

const listen = (server: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}): Promise<number> =>
  new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)));

/** One HTTP/2 frame (RFC 9113 section 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
} as const;

export function goawayFrame(lastStreamId: number, code: number, data = ''): Buffer {
  const payload = Buffer.alloc(8);
  payload.writeUInt32BE(lastStreamId, 0);
  payload.writeUInt32BE(code, 4);
  return frame(FRAME.GOAWAY, 0, 0, Buffer.concat([payload, Buffer.from(data)]));
}

export function rstFrame(stream: number, code: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(code, 0);
  return frame(FRAME.RST_STREAM, 0, stream, payload);
}

export interface Fixture {
  readonly transport: Transport;
  readonly limits: CountingLimits;
}

export function transportTo(
  port: number,
  options: Partial<TransportOptions> = {},
  settings: Partial<Http2Settings> = {},
): Fixture {
  const limits = (options.limits as CountingLimits | undefined) ?? new CountingLimits();
  const transport = http2Transport(
    {
      endpoint: endpointAt(port),
      tls: undefined,
      connectTimeoutMs: 5_000,
      idleTimeoutMs: 300_000,
      limits,
      clock: systemClock,
      logger: silentLogger,
      ...options,
    },
    { ...DEFAULT_HTTP2_SETTINGS, ...settings },
  );
  return { transport, limits };
}

export const callOf = (init: Partial<CallInit> = {}): Call =>
  new Call({
    protocol: 'http',
    scheme: 'http',
    authority: 'reviews',
    method: 'GET',
    path: '/',
    headers: headerFields(),
    ...init,
  });

export const text = async (body: Body): Promise<string> =>
  Buffer.from(await collect(body, Number.POSITIVE_INFINITY, () => new Error('too large') as never)).toString();

export const endOf = (reply: Reply): Promise<ReplyEnd> => new Promise((resolve) => reply.onEnd(resolve));

export const bytes = (content: string | number): BytesBody =>
  new BytesBody(typeof content === 'number' ? Buffer.alloc(content, 'x') : Buffer.from(content));

/** A request body that the test writes by hand. */
export function handWritten(): { body: StreamBody; resumed: () => number; cancelled: () => number } {
  let resumed = 0;
  let cancelled = 0;
  const body = new StreamBody({
    resume: () => {
      resumed++;
    },
    cancel: () => {
      cancelled++;
    },
  });
  return { body, resumed: () => resumed, cancelled: () => cancelled };
}

/** Resolves once `condition` holds, looking again after each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
