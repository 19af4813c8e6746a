import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

/**
 * Remembers the sockets that a channel with these credentials connects, so that they can be ended. grpc-js 1.14 does not end the socket of
 * an attempt that a closed channel leaves behind, when the peer accepted it and then said nothing: it would stay until the peer goes.
 *
 * And they keep no process alive: a stream to the control plane never ends, and grpc-js holds the process for every call that has not ended. Calls that
 * wait for their configuration hold it themselves.
 */
export class HalfOpenSockets {
  readonly #sockets = new Set<Socket>();

  constructor(credentials: ChannelCredentials) {
    const create = credentials._createSecureConnector.bind(credentials);
    credentials._createSecureConnector = (...args) => {
      const connector = create(...args);
      const connect = connector.connect.bind(connector);
      connector.connect = (socket) => {
        this.#sockets.add(socket);
        socket.ref = () => socket;
        socket.unref();
        socket.once('close', () => this.#sockets.delete(socket));
        return connect(socket);
      };
      return connector;
    };
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
