import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Acceptor, Connection, Face, FaceEnv } from './face.js';
import { withPeer } from '../tls/with-peer.js';
import { gateEvents } from './event-gate.js';
import { Http1Connection } from './http1-connection.js';
import { watchSlowRequests } from './slow-requests.js';

/** A node:http server, with whatever framework on top of it. Connections that it takes from a port of its own are its own affair. */
export class Http1Face implements Face {
  readonly allowHalfOpen = true;
  readonly #connections = new WeakMap<Duplex, Http1Connection>();
  readonly #removeGates: () => void;
  readonly #stopWatching: () => void;
  #onServerClosed: () => void = () => {};

  constructor(
    private readonly server: Server,
    private readonly env: FaceEnv,
  ) {
    const request = (later: () => void, incoming: IncomingMessage, response: ServerResponse): boolean => {
      const { socket } = incoming;
      const connection = this.#connections.get(socket);
      return (
        connection === undefined ||
        withPeer(socket, later, (enter, requester) => connection.request(incoming, response, enter, requester))
      );
    };
    const upgrade = (later: () => void, incoming: IncomingMessage, socket: Duplex): boolean => {
      const connection = this.#connections.get(socket);
      return (
        connection === undefined ||
        withPeer(socket, later, (enter, requester) => connection.upgrade(incoming, socket, enter, requester))
      );
    };
    this.#removeGates = gateEvents(server, {
      request,
      checkContinue: request,
      checkExpectation: request,
      upgrade,
      connect: upgrade,
    });
    this.#stopWatching = watchSlowRequests(server, env.logger);
  }

  get maxConnections(): number | undefined {
    return this.server.maxConnections;
  }

  open(): Acceptor {
    const open = new Map<Socket, Http1Connection>();
    return {
      alpn: ['http/1.1'],
      accept: (connection: Connection) => {
        const { socket } = connection;
        const own = new Http1Connection(connection, this.env);
        this.#connections.set(socket, own);
        open.set(socket, own);
        socket.once('close', () => open.delete(socket));
        this.server.emit('connection', socket);
        return (idle) => own.drain(idle);
      },
      drain: (idle) => {
        for (const connection of [...open.values()]) connection.drain(idle);
      },
    };
  }

  onClosed(closed: (force: boolean) => Promise<void>): void {
    this.#onServerClosed = () => void closed(false);
    this.server.once('close', this.#onServerClosed);
  }

  close(): void {
    this.server.off('close', this.#onServerClosed);
    this.#removeGates();
    this.#stopWatching();
  }
}
