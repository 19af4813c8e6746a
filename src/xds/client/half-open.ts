import type { Socket } from 'node:net';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { idleSockets } from '../../identity/rpc/idle-sockets.js';

/**
 * Remembers the sockets that a channel with these credentials connects, so that they can be ended. grpc-js 1.14 does not end the socket of
 * an attempt that a closed channel leaves behind, when the peer accepted it and then said nothing: it would stay until the peer goes.
 *
 * And they keep no process alive. Calls that wait for their configuration hold it themselves.
 */
export class HalfOpenSockets {
  readonly #sockets = new Set<Socket>();

  constructor(credentials: Partial<Pick<ChannelCredentials, '_createSecureConnector'>>) {
    idleSockets(credentials, (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
