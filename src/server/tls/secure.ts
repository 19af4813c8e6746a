import { type IncomingMessage, Server as HttpServer, type ServerResponse } from 'node:http';
import type { Http2SecureServer, Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { Server as HttpsServer } from 'node:https';
import { Server as NetServer, type Socket } from 'node:net';
import { Server as TlsNetServer } from 'node:tls';
import { ambientPeer, derivedAmbient, withAmbient } from '../../core/ambient.js';
import { DecodeError, knownKeys, shown, string } from '../../core/decode.js';
import { peerOf } from '../../core/identity.js';
import type { Meter } from '../../core/meter.js';
import type { ServerListener } from '../../core/model/server.js';
import { NoServerConfigError } from '../../core/server-config.js';
import type { TlsServer } from '../../core/tls.js';
import { Http2Drain } from '../http2-drain.js';
import type { ServerParts } from '../parts.js';
import { gateEvents } from '../xds/event-gate.js';
import { carrierOf, carryPeer } from './carrier.js';
import { Handshakes } from './handshakes.js';
import { MESH_TLS } from './mesh-tls.js';

/** What is asked of connections: mutual TLS; that or plain text; nothing. */
export type SecureMode = 'strict' | 'permissive' | 'disabled';

export interface SecureOptions {
  /** Default: what the configuration says for the service, from connection to connection. */
  readonly mode?: SecureMode;
  /** The service that the server is, by a name that others call it by. Default: the mesh's own `service`. */
  readonly service?: string;
}

/** A server whose connections the mesh takes first. */
export interface SecuredServer {
  /** Undefined while the configuration has said nothing: connections wait for it, and go when it does not come in time. */
  readonly mode: SecureMode | undefined;
  /** Gives the server back as it was; connections stay. With the mesh as well. */
  close(): void;
}

export type SecurableServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer;

/** Events that bring a request, of node:http and node:http2. */
const REQUESTS = ['request', 'checkContinue', 'checkExpectation', 'upgrade', 'connect', 'stream'];

const MODES: readonly SecureMode[] = ['strict', 'permissive', 'disabled'];

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
  return new Secured(server, checked(server, options, parts), parts, meter);
}

function checked(server: unknown, options: SecureOptions, parts: ServerParts): SecureOptions {
  knownKeys(options as Record<string, unknown>, 'secure', ['mode', 'service']);
  if (!(server instanceof NetServer))
    throw new DecodeError('secure', `must be a server of node:http, node:https or node:http2, got ${shown(server)}`);
  const { mode, service = parts.service } = options;
  if (mode !== undefined && !MODES.includes(mode))
    throw new DecodeError('secure.mode', `must be one of ${MODES.join(', ')}, got ${shown(mode)}`);
  if (mode === undefined && service === undefined)
    throw new DecodeError(
      'secure.service',
      'must say whose configuration holds, or secure.mode what is asked of connections',
    );
  return {
    ...(mode !== undefined && { mode }),
    ...(service !== undefined && { service: string(service, 'secure.service') }),
  };
}

class Secured implements SecuredServer {
  mode: SecureMode | undefined;
  readonly #handshakes: Handshakes;
  #tls: TlsServer;
  readonly #alpn: readonly string[];
  /** As which event a connection goes on. */
  readonly #event: 'connection' | 'secureConnection';
  /** Connections that the server may have now. */
  readonly #ready = new WeakSet<Socket>();
  /** Those that came before the mode was known, with how to go on with each. */
  readonly #waiting = new Set<() => void>();
  /** Connections that take no more requests once they have answered those under way. */
  readonly #leaving = new WeakSet<object>();
  readonly #drains = new WeakMap<Socket, Http2Drain>();
  #handing: Socket | undefined;
  readonly #ends: (() => void)[] = [];

  constructor(
    private readonly server: SecurableServer,
    { mode, service }: SecureOptions,
    parts: ServerParts,
    meter: Meter,
  ) {
    this.#handshakes = new Handshakes({ clock: parts.clock, logger: parts.logger, meter });
    this.#tls = parts.tls.server(MESH_TLS);
    const http1 = server instanceof HttpServer || server instanceof HttpsServer;
    this.#alpn = http1 ? ['http/1.1'] : ['h2'];
    this.#event = server instanceof TlsNetServer ? 'secureConnection' : 'connection';
    this.mode = mode;
    this.#ends.push(
      gateEvents(server, {
        connection: (later: () => void, socket: Socket) => this.#connection(socket, later),
        session: (_: () => void, session: ServerHttp2Session) => this.#session(session),
        ...Object.fromEntries(REQUESTS.map((event) => [event, this.#request])),
      }),
    );
    if (mode === undefined && service !== undefined) {
      const stop = parts.watch(
        { service },
        {
          changed: ({ listener }) => this.#become(listener, parts),
          failed: (error) => {
            if (error instanceof NoServerConfigError) this.#know('disabled');
          },
          ambient() {},
        },
      );
      this.#ends.push(stop);
    }
    parts.onClose(() => this.#end());
    server.once('close', () => this.close());
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#waiting.clear();
  }

  /** With the mesh: there is no identity any more, and nobody who could tell whether a connection may come in. */
  #end(): void {
    if (this.mode === 'disabled') this.close();
  }

  #become({ filterChains, defaultFilterChain }: ServerListener, parts: ServerParts): void {
    const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
    const tls = chains.find((chain) => chain.tls !== undefined)?.tls;
    if (tls !== undefined) this.#tls = parts.tls.server(tls);
    this.#know(
      tls === undefined ? 'disabled' : chains.every((chain) => chain.tls !== undefined) ? 'strict' : 'permissive',
    );
  }

  #know(mode: SecureMode): void {
    this.mode = mode;
    for (const go of [...this.#waiting]) go();
    this.#waiting.clear();
  }

  #connection(socket: Socket, later: () => void): boolean {
    if (this.#ready.has(socket) || this.mode === 'disabled') return true;
    // Who is still waiting when the time is over is cut off.
    this.#handshakes.look(socket, (transport) => {
      const go = (): void => this.#decide(socket, transport === 'tls', later);
      if (this.mode !== undefined) return go();
      this.#waiting.add(go);
      socket.once('close', () => this.#waiting.delete(go));
    });
    return false;
  }

  #decide(socket: Socket, tls: boolean, later: () => void): void {
    if (socket.destroyed) return;
    if (this.mode === 'disabled') {
      this.#handshakes.ready(socket);
      this.#ready.add(socket);
      later();
    } else if (tls) {
      let secure: Socket | undefined;
      this.#handshakes.secure(socket, this.#tls, this.#alpn, {
        secured: (made) => {
          secure = made;
          this.#hand(made);
        },
        drain: () => secure && this.#drain(secure),
      });
    } else if (this.mode === 'permissive') {
      this.#handshakes.ready(socket);
      this.#hand(socket);
    } else this.#handshakes.refuse(socket, 'plaintext');
  }

  #hand(socket: Socket): void {
    this.#ready.add(socket);
    this.#handing = socket;
    this.server.emit(this.#event, socket);
    this.#handing = undefined;
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
