import { connect as connectTcp, type Socket } from 'node:net';
import type { Clock } from '../../../core/clock.js';
import type { Address } from '../../../core/model/endpoint.js';
import type { TlsClient } from '../../../core/tls.js';

/** The head start of one address before the next is tried as well: "250 milliseconds" - RFC 8305 section 5, gRFC A61. */
const ATTEMPT_DELAY_MS = 250;

export interface Dialed {
  connected(socket: Socket): void;
  /** Every address failed; the last one's error, and what it comes to. */
  failed(cause: Error, detail: string): void;
  /** The connection that was made should take no new calls. */
  drain(): void;
}

/** One address that is being tried. */
interface Attempt {
  abandon(): void;
}

/** Connects to the first address that answers, TLS included, racing them with a head start each. The result gives up. */
export function dial(
  addresses: readonly Address[],
  tls: TlsClient | undefined,
  clock: Clock,
  outcome: Dialed,
): () => void {
  const open = new Set<Attempt>();
  let next = 0;
  let over = false;
  let stopTimer: (() => void) | undefined;

  const finish = (winner: Attempt | undefined): void => {
    over = true;
    stopTimer?.();
    for (const attempt of open) if (attempt !== winner) attempt.abandon();
    open.clear();
  };

  const attempt = (): void => {
    const address = addresses[next++];
    if (over || address === undefined) return;
    const socket = connectTcp({ host: address.host, port: address.port, noDelay: true });
    let giveUp = (): void => void socket.destroy();
    const self: Attempt = { abandon: () => giveUp() };
    const win = (connected: Socket): void => {
      if (over) return;
      // Of one under TLS it stays: the socket on top of it tells of what happens.
      if (tls === undefined) socket.off('error', onError);
      finish(self);
      outcome.connected(connected);
    };
    const lose = (detail: string, cause: Error): void => {
      if (!open.delete(self)) return;
      giveUp();
      if (over) return;
      if (next < addresses.length) attempt();
      else if (open.size === 0) {
        finish(undefined);
        outcome.failed(cause, detail);
      }
    };
    // The listener stays when it is lost: a socket may report once more while it goes.
    const onError = (error: Error): void => lose(error.message, error);
    open.add(self);
    socket.on('error', onError);
    socket.once('connect', () => {
      if (over) return;
      if (tls === undefined) return win(socket);
      giveUp = tls.secure(socket, ['h2'], {
        secured(secure) {
          if (secure.alpnProtocol === 'h2') return win(secure);
          const detail = 'the server did not choose "h2" in the TLS handshake (ALPN): it speaks no HTTP/2 here';
          giveUp = () => void secure.destroy();
          lose(detail, new Error(detail));
        },
        failed: (error) => lose(`TLS with "${tls.name}": ${error.message}`, error),
        drain: () => outcome.drain(),
      });
    });
    stopTimer?.();
    if (next < addresses.length) stopTimer = clock.after(ATTEMPT_DELAY_MS, attempt, { background: true });
  };

  attempt();
  return () => finish(undefined);
}
