import type { Socket } from 'node:net';
import type { Downstream } from '../core/call.js';
import { addressKey } from '../core/model/endpoint.js';

/** Both ends of the connection that a request came in by, as routes see them. A socket that is gone has none. */
export function downstreamOf(socket: Socket | undefined, protocol: Downstream['protocol']): Downstream {
  try {
    return {
      remote: address(socket?.remoteAddress, socket?.remotePort),
      local: address(socket?.localAddress, socket?.localPort),
      protocol,
    };
  } catch {
    return { remote: undefined, local: undefined, protocol };
  }
}

/** The other end of a connection; undefined once it is gone. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
}

/** The client's IP address, without its port. */
export function peerAddress(peer: Peer | undefined): string | undefined {
  try {
    const address = peer?.remoteAddress;
    return address === undefined ? undefined : unmapped(address);
  } catch {
    // What a session of HTTP/2 shows of its socket throws once that is gone.
    return undefined;
  }
}

const address = (host: string | undefined, port: number | undefined): string | undefined =>
  host === undefined || port === undefined ? undefined : addressKey({ host: unmapped(host), port });

/** An IPv4 client of a socket that listens for both families (`::ffff:10.0.0.1`) is one all the same. */
const unmapped = (host: string): string => (/^::ffff:\d+\./i.test(host) ? host.slice(7) : host);
