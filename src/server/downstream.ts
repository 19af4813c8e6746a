import type { Socket } from 'node:net';
import type { Downstream } from '../core/call.js';
import { addressKey } from '../core/model/endpoint.js';

/** Both ends of the connection that a request came in by, as routes see them. A socket that is gone has none. */
export function downstreamOf(socket: Socket | undefined, protocol: Downstream['protocol']): Downstream {
  return {
    remote: address(socket?.remoteAddress, socket?.remotePort),
    local: address(socket?.localAddress, socket?.localPort),
    protocol,
  };
}

/** The other end of a connection; undefined once it is gone. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
}

/** The client's IP address, without its port. */
export const peerAddress = (peer: Peer | undefined): string | undefined =>
  peer?.remoteAddress === undefined ? undefined : unmapped(peer.remoteAddress);

const address = (host: string | undefined, port: number | undefined): string | undefined =>
  host === undefined || port === undefined ? undefined : addressKey({ host: unmapped(host), port });

/** An IPv4 client of a socket that listens for both families (`::ffff:10.0.0.1`) is one all the same. */
const unmapped = (host: string): string => (/^::ffff:\d+\./i.test(host) ? host.slice(7) : host);
