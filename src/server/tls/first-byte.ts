import type { Socket } from 'node:net';

/** How a connection begins (Envoy's names, as in `FilterChainMatch.transport_protocol`). */
export type TransportProtocol = 'tls' | 'raw_buffer';

/** "handshake(22)" - RFC 8446 section 5.1. No request of HTTP/1.1 and no preface of HTTP/2 begins with it. */
const HANDSHAKE = 22;

/**
 * Tells TLS from plain text by the first byte that a client sends, and leaves it where it was. The result gives up, and looks no more; a connection that ends before
 * it says anything is closed.
 */
export function firstByte(socket: Socket, decided: (transport: TransportProtocol) => void): () => void {
  const done = (): void => {
    socket.off('readable', look);
    socket.off('end', cut);
    socket.off('error', ignore);
  };
  const cut = (): void => {
    socket.destroy();
  };
  // 'close' follows.
  const ignore = (): void => {};
  const look = (): void => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return;
    done();
    socket.unshift(chunk);
    decided(chunk[0] === HANDSHAKE ? 'tls' : 'raw_buffer');
  };
  socket.on('readable', look);
  socket.on('end', cut);
  socket.on('error', ignore);
  return done;
}
