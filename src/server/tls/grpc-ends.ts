import type { Socket } from 'node:net';
import { LOST } from './carrier.js';

/** The two ends of a connection: all that grpc-js tells of the one that a call came by. */
export interface Ends {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** Undefined: they are not known, as those of Unix sockets and of connections that are gone, all of which would be the same. */
export function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Ends): string | undefined {
  const ends = [remoteAddress, remotePort, localAddress, localPort];
  return ends.includes(undefined) ? undefined : ends.join('|');
}

/** Sockets under TLS of all grpc-js servers of this process, as long as they are open. */
const sockets = new Map<string, Socket>();
/** There has been one. */
let any = false;

/** From now on calls by this connection are known to come by it. */
export function knowGrpcSocket(socket: Socket): void {
  any = true;
  const key = endsOf(socket);
  if (key === undefined) return;
  sockets.set(key, socket);
  socket.once('close', () => {
    // A new connection between the same ends may have come before this one was seen to be over.
    if (sockets.get(key) === socket) sockets.delete(key);
  });
}

/** Undefined: there is no TLS on it. `LOST`: nobody can tell, as its ends are not known. */
export function grpcSocket(ends: Ends): object | undefined {
  if (!any) return undefined;
  const key = endsOf(ends);
  return key === undefined ? LOST : sockets.get(key);
}
