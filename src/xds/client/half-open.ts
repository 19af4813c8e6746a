import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/**
 * Remembers the sockets that a channel with these credentials connects, so that they can be ended. grpc-js 1.14 does not end the socket of
 * an attempt that a closed channel leaves behind, when the peer accepted it and then said nothing: it would stay until the peer goes.
 *
 * And they keep no process alive: a stream to the control plane never ends, and grpc-js holds the process for every call that has not ended. Calls that
 * wait for their configuration hold it themselves.
 *
 * The methods are internal to grpc-js: where it has no such ones its sockets are left as they are, which costs both of that and nothing else.
 */
export class HalfOpenSockets {
  readonly #sockets = new Set<Socket>();

  constructor(credentials: Partial<Pick<ChannelCredentials, '_createSecureConnector'>>) {
    const create = credentials._createSecureConnector?.bind(credentials);
    if (create === undefined) return;
    credentials._createSecureConnector = (...args) => {
      const connector: Partial<Connector> & Connector = create(...args);
      const connect = connector.connect?.bind(connector);
      if (connect === undefined) return connector;
      connector.connect = (socket) => {
        this.#follow(socket);
        return connect(socket).then((connected) => {
          if (connected.socket !== socket) idle(connected.socket);
          return connected;
        });
      };
      return connector;
    };
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #follow(socket: Socket): void {
    this.#sockets.add(socket);
    idle(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}

/** Keeps no process alive, whoever asks it to. One of TLS has a way of its own to the connection below. */
function idle(socket: Socket): void {
  socket.ref = () => socket;
  socket.unref();
}
