import type { Socket } from 'node:net';
import type { Clock } from '../core/clock.js';

/** What an HTTP/2 client sends first (RFC 9113 section 3.4): chosen so that no HTTP/1.1 request begins like it. */
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/**
 * Tells HTTP/2 with prior knowledge from HTTP/1.1 by the first bytes, and puts them back. A connection that has not said enough within
 * `timeoutMs` is cut.
 */
export function sniff(
  socket: Socket,
  clock: Clock,
  timeoutMs: number,
  decided: (protocol: 'http1' | 'http2') => void,
): void {
  let seen: Buffer = Buffer.alloc(0);
  const stop = clock.after(timeoutMs, () => cut(), { background: true });
  const done = (): void => {
    stop();
    socket.off('readable', look);
    socket.off('end', cut);
    socket.off('close', done);
    socket.off('error', ignore);
  };
  const cut = (): void => {
    socket.destroy();
  };
  // 'close' follows, which ends it.
  const ignore = (): void => {};
  const look = (): void => {
    let chunk: Buffer | null = socket.read();
    while (chunk !== null) {
      seen = seen.byteLength === 0 ? chunk : Buffer.concat([seen, chunk]);
      chunk = socket.read();
    }
    const compared = Math.min(seen.byteLength, PREFACE.byteLength);
    const same = seen.subarray(0, compared).equals(PREFACE.subarray(0, compared));
    if (same && compared < PREFACE.byteLength) return;
    done();
    socket.unshift(seen);
    decided(same ? 'http2' : 'http1');
  };
  socket.on('readable', look);
  socket.on('end', cut);
  socket.on('close', done);
  socket.on('error', ignore);
}
