import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * Remembers the sockets that a channel with these credentials connects, so that they can be ended. grpc-js 1.14 does not end the socket of
 * an attempt that a closed channel leaves behind, when the peer accepted it and then said nothing: it would stay until the peer goes.
 */
export class HalfOpenSockets {
  readonly #sockets = new Set<Socket>();
  #ended = false;

  constructor(credentials: ChannelCredentials) {
    const create = credentials._createSecureConnector.bind(credentials);
    credentials._createSecureConnector = (...args) => {
      const connector = create(...args);
      const connect = connector.connect.bind(connector);
      connector.connect = (socket) => {
        if (this.#ended) return refused(socket);
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
        return connect(socket);
      };
      return connector;
    };
  }

  /** For good: a closed channel tries once more when its attempt breaks off, and what that connects is ended as well. */
  destroy(): void {
    this.#ended = true;
    for (const socket of this.#sockets) socket.destroy();
  }
}

function refused(socket: Socket): Promise<never> {
  socket.destroy();
  return Promise.reject(new Error('the channel was closed'));
}
