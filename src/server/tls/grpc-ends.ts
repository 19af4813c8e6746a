import type { Socket } from 'node:net';

/** The two ends of a connection: all that grpc-js tells of the one that a call came by. */
export interface Ends {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

export const endsOf = ({ remoteAddress, remotePort, localAddress, localPort }: Ends): string =>
  `${remoteAddress}|${remotePort}|${localAddress}|${localPort}`;

/** Sockets under TLS of all grpc-js servers of this process, as long as they are open. */
const sockets = new Map<string, Socket>();

/** From now on calls by this connection are known to come by it. */
export function knowGrpcSocket(socket: Socket): void {
  const key = endsOf(socket);
  sockets.set(key, socket);
  socket.once('close', () => {
    // A new connection between the same ends may have come before this one was seen to be over.
    if (sockets.get(key) === socket) sockets.delete(key);
  });
}

/** Undefined: there is no TLS on it. */
export const grpcSocket = (ends: Ends): Socket | undefined =>
  sockets.size === 0 ? undefined : sockets.get(endsOf(ends));
