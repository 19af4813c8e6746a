import { type IncomingMessage, Server as HttpServer, type ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { Server as HttpsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { Server as TlsNetServer } from 'node:tls';
import type { Server as GrpcServer } from '@grpc/grpc-js';
import { ambientPeer, derivedAmbient, withAmbient } from '../../core/ambient.js';
import { DecodeError, shown } from '../../core/decode.js';
import { peerOf } from '../../core/identity.js';
import type { Meter } from '../../core/meter.js';
import { Http2Drain } from '../http2-drain.js';
import type { ServerParts } from '../parts.js';
import { gateEvents } from '../xds/event-gate.js';
import { carrierOf, carryPeer } from './carrier.js';
import { SecureFront, type SecureMode } from './front.js';
import { type SecuredServer, type SecureOptions, type SecureSettings, secureSettings } from './secure-options.js';

/** Events that bring a request, of node:http and node:http2. */
const REQUESTS = ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect', 'stream'];

export type SecurableServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer;

/** As `secureServer`, of grpc-js's Server as well. What is for gRPC is loaded for that only. */
export async function secureAny(
  server: SecurableServer | GrpcServer,
  options: SecureOptions,
  parts: ServerParts,
  meter: Meter,
): Promise<SecuredServer> {
  if (!isGrpcServer(server)) return secureServer(server, options, parts, meter);
  const { secureGrpcServer } = await import('./secure-grpc.js');
  return secureGrpcServer(server, options, parts, meter);
}

const isGrpcServer = (server: unknown): server is GrpcServer =>
  typeof (server as Partial<GrpcServer> | null)?.createConnectionInjector === 'function';

/**
 * Puts mutual TLS in front of a server that the application listens with by itself. It takes the server's `connection` events: what comes out of a handshake goes on to
 * the server as if it had made TLS itself, so that a server of node:https needs no certificate of its own. Throws DecodeError.
 */
export function secureServer(
  server: SecurableServer,
  options: SecureOptions,
  parts: ServerParts,
  meter: Meter,
): SecuredServer {
  if (!((server as unknown) instanceof NetServer)) {
    const kinds = "a server of node:http, node:https or node:http2, or grpc-js's Server";
    throw new DecodeError('secure', `must be ${kinds}, got ${shown(server)}`);
  }
  if (options.address !== undefined)
    throw new DecodeError('secure.address', "is for grpc-js's Server: this one listens by itself");
  return new Secured(server, secureSettings(options, parts), parts, meter);
}

class Secured implements SecuredServer {
  readonly address = undefined;
  readonly #front: SecureFront;
  /** As which event a connection goes on. */
  readonly #event: 'connection' | 'secureConnection';
  /** Connections that the server may have now. */
  readonly #ready = new WeakSet<Socket>();
  /** Connections that take no more requests once they have answered those under way. */
  readonly #leaving = new WeakSet<object>();
  readonly #drains = new WeakMap<Socket, Http2Drain>();
  #handing: Socket | undefined;
  readonly #giveBack: () => void;

  constructor(
    private readonly server: SecurableServer,
    { mode, service }: SecureSettings,
    parts: ServerParts,
    meter: Meter,
  ) {
    const http1 = server instanceof HttpServer || server instanceof HttpsServer;
    this.#event = server instanceof TlsNetServer ? 'secureConnection' : 'connection';
    const alpn = http1 ? ['http/1.1'] : ['h2'];
    this.#front = new SecureFront({ mode, service, alpn }, parts, meter, (socket) => this.#hand(socket));
    this.#giveBack = gateEvents(server, {
      connection: (later: () => void, socket: Socket) => this.#connection(socket, later),
      session: (_: () => void, session: ServerHttp2Session) => this.#session(session),
      ...Object.fromEntries(REQUESTS.map((event) => [event, this.#request])),
    });
    parts.onClose(() => this.#end());
    server.once('close', () => this.close());
  }

  get mode(): SecureMode | undefined {
    return this.#front.mode;
  }

  close(): void {
    this.#giveBack();
    this.#front.close();
  }

  /** With the mesh: there is no identity any more, and nobody who could tell whether a connection may come in. */
  #end(): void {
    if (this.mode === 'disabled') this.close();
  }

  #connection(socket: Socket, later: () => void): boolean {
    if (this.#ready.has(socket) || this.mode === 'disabled') return true;
    this.#front.accept(socket, () => {
      this.#ready.add(socket);
      later();
    });
    return false;
  }

  #hand(socket: Socket): () => void {
    this.#ready.add(socket);
    this.#handing = socket;
    this.server.emit(this.#event, socket);
    this.#handing = undefined;
    return () => this.#drain(socket);
  }

  /** Node makes the session while it is handed the connection. */
  #session(session: ServerHttp2Session): boolean {
    const socket = this.#handing;
    if (socket !== undefined) {
      carryPeer(session, socket);
      this.#drains.set(socket, new Http2Drain(session));
    }
    return true;
  }

  /** Its handlers find who calls (`mesh.peer()`), also without middleware. */
  readonly #request = (later: () => void, request: IncomingMessage | ServerHttp2Stream, second: unknown): boolean => {
    if ('socket' in request && this.#leaving.has(request.socket)) (second as ServerResponse).shouldKeepAlive = false;
    const peer = peerOf(carrierOf('socket' in request ? request : { stream: request }));
    if (peer === undefined || ambientPeer() === peer) return true;
    withAmbient(derivedAmbient({ peer }), later);
    return false;
  };

  /** HTTP/1.1: the next response says that it is the last; a client that were cut off while it sends a request could not know whether it was served. */
  #drain(socket: Socket): void {
    const session = this.#drains.get(socket);
    if (session === undefined) this.#leaving.add(socket);
    else session.begin();
  }
}
