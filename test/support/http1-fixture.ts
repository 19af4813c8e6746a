import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net';
import { http1Transport } from '../../src/client/transport/http1/transport.js';
import { type Body, collect } from '../../src/core/body.js';
import { systemClock } from '../../src/core/clock.js';
import { silentLogger } from '../../src/core/log.js';
import type { Reply, ReplyEnd } from '../../src/core/reply.js';
import type { Transport, TransportOptions } from '../../src/core/transport.js';
import { CountingLimits } from './counting-limits.js';
import { anEndpoint } from './endpoints.js';

export interface RunningHttp {
  readonly port: number;
  readonly origin: string;
  readonly server: Server | TcpServer;
  /** Connections open now. */
  readonly sockets: Set<Socket>;
  /** Connections accepted since the start. */
  readonly accepted: () => number;
  close(): Promise<void>;
}

/** Whatever the server is, once it listens; closing it cuts every connection. */
async function running(server: Server | TcpServer): Promise<RunningHttp> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    origin: `http://127.0.0.1:${port}`,
    server,
    sockets,
    accepted: () => accepted,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export const httpServer = (handler: RequestListener): Promise<RunningHttp> => running(createServer(handler));

/** A server that writes whatever it likes. */
export const tcpServer = (serve: (socket: Socket) => void): Promise<RunningHttp> => running(createTcpServer(serve));

/** A raw server that answers each request (told apart by its blank line) with `answer`. */
export const answering = (answer: (socket: Socket, head: string) => void): Promise<RunningHttp> =>
  tcpServer((socket) => {
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        answer(socket, head);
      }
    });
  });

export interface OpenTransport {
  readonly transport: Transport;
  readonly limits: CountingLimits;
}

export function transportTo(port: number, more: Partial<TransportOptions> = {}): OpenTransport {
  const limits = (more.limits as CountingLimits | undefined) ?? new CountingLimits();
  const transport = http1Transport({
    endpoint: anEndpoint(`127.0.0.1:${port}`),
    tls: undefined,
    connectTimeoutMs: 5_000,
    idleTimeoutMs: 60_000,
    clock: systemClock,
    logger: silentLogger,
    ...more,
    limits,
  });
  return { transport, limits };
}

export const bytesOf = (body: Body): Promise<Uint8Array> =>
  collect(body, 1e9, () => {
    throw new Error('too large');
  });
export const textOf = async (body: Body): Promise<string> => Buffer.from(await bytesOf(body)).toString();
export const endOf = (reply: Reply): Promise<ReplyEnd> => new Promise((resolve) => reply.onEnd(resolve));

/** What a promise is rejected with; fails when it is not. */
export async function failureOf<E = Error>(promise: Promise<unknown>): Promise<E> {
  try {
    await promise;
  } catch (error) {
    return error as E;
  }
  throw new Error('expected a rejection');
}

/** Waits for what another party does: turn by turn of the event loop, no fixed time. */
export async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    if (turn > 100_000) throw new Error('waited in vain');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
