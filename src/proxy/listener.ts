import { createServer as createHttp1Server, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { Http2Drain } from '../server/http2-drain.js';
import { carryPeer } from '../server/tls/carrier.js';
import type { SecureFront } from '../server/tls/front.js';
import type { ExchangeEnv } from './exchange.js';
import { rawRefusal, serveHttp1 } from './http1.js';
import { whenIdle } from './idle.js';
import { serveHttp2 } from './http2.js';
import { badRequest, methodNotAllowed } from './refusal.js';
import { sniff } from './sniff.js';
import { serveUpgrade } from './upgrade.js';

/**
 * One port for HTTP/1.1 and for HTTP/2 with prior knowledge. The `node:http` server owns the port, so that its timeouts and its
 * closing of idle connections apply; a connection that turns out to speak HTTP/2 goes to the other one.
 */
export class Listener {
  readonly #http1: Server;
  readonly #http2: Http2Server;
  readonly #front: SecureFront | undefined;
  /** Each with how to cut it off. */
  readonly #sockets = new Map<Socket, () => void>();
  readonly #bySocket = new WeakMap<Socket, Http2Drain>();
  /** HTTP/1.1 connections whose next answer is the last. */
  readonly #leaving = new WeakSet<Socket>();
  /** The one whose session is being made. */
  #handing: Socket | undefined;
  readonly #sessions = new Set<Http2Drain>();
  #closed: Promise<void> | undefined;

  constructor(private readonly env: ExchangeEnv) {
    const { limits } = env;
    this.#http1 = createHttp1Server({
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      // How long a body may take is the call's deadline's business, and of the idle timeout.
      requestTimeout: 0,
      insecureHTTPParser: false,
      // `accept` asks for it, with an answer that says what is missing.
      requireHostHeader: false,
    });
    // Node drops fields beyond this count without a word; `accept` counts them itself and refuses.
    this.#http1.maxHeadersCount = 0;
    this.#http1.maxConnections = limits.maxConnections;
    this.#http1.timeout = limits.idleTimeoutMs;
    this.#http1.on('request', (request, response) => this.#serveHttp1(request, response, false));
    this.#http1.on('checkContinue', (request, response) => this.#serveHttp1(request, response, true));
    this.#http1.on('connect', (request, socket) => {
      answerAndEnd(socket, rawRefusal(methodNotAllowed(request.method as string), 'Method Not Allowed'));
    });
    const { app } = env;
    if (app !== undefined)
      this.#http1.on('upgrade', (request: IncomingMessage, socket, head) =>
        serveUpgrade(env, app, request, socket as Socket, head),
      );
    this.#http1.on('clientError', (error: NodeJS.ErrnoException, socket) => onClientError(error, socket));

    this.#http2 = createHttp2Server({
      settings: { maxConcurrentStreams: limits.maxConcurrentStreams, maxHeaderListSize: limits.maxHeaderBytes },
      maxHeaderListPairs: limits.maxHeaders + PSEUDO_HEADERS,
    });
    this.#http2.on('session', (session) => this.#onSession(session));
    this.#http2.on(
      'stream',
      (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, raw: string[]) => {
        serveHttp2(env, stream, headers, flags, raw);
      },
    );

    const [toHttp1] = this.#http1.listeners('connection') as ((socket: Socket) => void)[];
    this.#http1.removeAllListeners('connection');
    const serve = (socket: Socket, protocol: 'http1' | 'http2'): void => {
      if (protocol === 'http1') return toHttp1?.call(this.#http1, socket);
      // HTTP/1.1 clients may shut down their side and still read; for HTTP/2 the end of one side is the end.
      socket.allowHalfOpen = false;
      this.#handing = socket;
      this.#http2.emit('connection', socket);
      this.#handing = undefined;
    };
    const plain = (socket: Socket): void =>
      sniff(socket, env.clock, limits.headersTimeoutMs, (protocol) => serve(socket, protocol));
    const front = env.front?.((socket, raw) => {
      if (socket === raw) plain(raw);
      else {
        this.#sockets.set(raw, () => socket.destroy());
        // A client that does not say what it speaks is asked by its first bytes.
        const { alpnProtocol } = socket as TLSSocket;
        if (alpnProtocol === false || alpnProtocol === null) plain(socket);
        else serve(socket, alpnProtocol === 'h2' ? 'http2' : 'http1');
      }
      return () => this.#drain(socket);
    });
    this.#front = front;
    this.#http1.on('connection', (socket) => {
      this.#sockets.set(socket, () => (front === undefined ? socket.destroy() : front.cut(socket)));
      socket.once('close', () => this.#sockets.delete(socket));
      socket.setNoDelay(true);
      if (front === undefined) plain(socket);
      else front.accept(socket, () => plain(socket));
    });
  }

  /** No more requests on this connection. */
  #drain(socket: Socket): void {
    const session = this.#bySocket.get(socket);
    if (session === undefined) this.#leaving.add(socket);
    else session.begin();
  }

  /** Resolves with the address that is listened on. */
  listen(): Promise<AddressInfo> {
    const { host, port } = this.env;
    return new Promise((resolve, reject) => {
      this.#http1.once('error', reject);
      this.#http1.listen(port, host, () => {
        this.#http1.off('error', reject);
        this.#http1.on('error', (error) => this.env.logger.error('proxy listener failed', { error: String(error) }));
        resolve(this.#http1.address() as AddressInfo);
      });
    });
  }

  /** Takes no more connections, asks clients to go elsewhere, and resolves once all have gone; `force` cuts them. */
  close(force: boolean): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      // Closes idle HTTP/1.1 connections too; those in use get `Connection: close` with their answer.
      this.#http1.close(() => {
        this.#front?.close();
        resolve();
      });
      for (const session of this.#sessions) session.begin();
    });
    if (force) for (const cut of [...this.#sockets.values()]) cut();
    return this.#closed;
  }

  #serveHttp1(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    if (this.#leaving.has(request.socket)) response.shouldKeepAlive = false;
    // An answer whose head went out before the proxy began to close has left its connection open.
    response.once('close', () => {
      if (this.env.draining()) this.#http1.closeIdleConnections();
    });
    serveHttp1(this.env, request, response, expectsContinue);
  }

  #onSession(session: ServerHttp2Session): void {
    const draining = new Http2Drain(session);
    if (this.#handing !== undefined) {
      carryPeer(session, this.#handing);
      this.#bySocket.set(this.#handing, draining);
    }
    this.#sessions.add(draining);
    session.on('error', (error) => this.env.logger.debug('HTTP/2 client failed', { error: String(error) }));
    session.on('close', () => this.#sessions.delete(draining));
    whenIdle(session, this.env.limits.idleTimeoutMs, this.env.clock, () => {
      if (draining.streams === 0) session.close();
      else session.destroy();
    });
    if (this.env.draining()) draining.begin();
  }
}

/** `:method`, `:scheme`, `:authority`, `:path`. */
const PSEUDO_HEADERS = 4;

/** Bytes that are no request: 431 when the head is too large, 408 when it took too long, 400 otherwise. */
function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { code } = error;
  if (code === 'ECONNRESET' || !socket.writable) socket.destroy();
  else if (code === 'HPE_HEADER_OVERFLOW') {
    const refusal = { ...badRequest('the header section is too large'), status: 431, code: 'HEADERS_TOO_LARGE' };
    answerAndEnd(socket, rawRefusal(refusal, 'Request Header Fields Too Large'));
  } else if (code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const refusal = { ...badRequest('the request did not arrive in time'), status: 408, code: 'REQUEST_TIMEOUT' };
    answerAndEnd(socket, rawRefusal(refusal, 'Request Timeout'));
  } else
    answerAndEnd(
      socket,
      rawRefusal(badRequest(`not a valid HTTP/1.1 request (${code ?? error.message})`), 'Bad Request'),
    );
}

function answerAndEnd(socket: Duplex, answer: string): void {
  socket.on('error', () => socket.destroy());
  socket.end(answer, () => socket.destroy());
}
