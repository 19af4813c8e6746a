import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest, Http2Session } from 'node:http2';
import { peerOf, setPeer } from '../../core/identity.js';
import type { Source } from '../../routing/request.js';

/**
 * What stands for the connection of a request in `peerOf`. Of HTTP/2 that is the socket that its session shows, which Node puts in the place of the real one;
 * servers that make TLS write the peer down for that one, too.
 */
export const carrierOf = (request: object): object | undefined => {
  const { stream, socket } = request as Partial<Http2ServerRequest> & Partial<IncomingMessage>;
  if (stream === undefined) return socket;
  return stream.session?.destroyed === false ? stream.session.socket : LOST;
};

/** In the place of a connection that was gone before anybody looked: who was at its other end cannot be found out any more. */
export const LOST: object = Object.freeze({});

/** Whether nobody can tell any more who is at the other end of a connection; one that there never was (`undefined`) has nobody there. */
export function isLost(connection: object | undefined): boolean {
  if (connection === LOST) return true;
  try {
    void (connection as { readonly encrypted?: unknown } | undefined)?.encrypted;
    return false;
  } catch {
    return true;
  }
}

/** Writes down for a session of HTTP/2 who is at the other end of its socket. */
export function carryPeer(session: Http2Session, socket: object): void {
  const peer = peerOf(socket);
  if (peer !== undefined) setPeer(session.socket, peer);
}

const NO_LABELS: Source['labels'] = {};

/** Who makes a request, for routes that ask for it. */
export function sourceOf(connection: object | undefined): Source | undefined {
  const principal = peerOf(connection)?.spiffeId;
  return principal === undefined ? undefined : { labels: NO_LABELS, principal };
}

/** Whether there is TLS on the connection, whoever made it. */
export function isEncrypted(connection: object | undefined): boolean {
  try {
    return (connection as { readonly encrypted?: unknown } | undefined)?.encrypted === true;
  } catch {
    // What a session of HTTP/2 shows of its socket throws once that is gone.
    return false;
  }
}
