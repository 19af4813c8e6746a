import { isIP, connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { Clock } from '../../../core/clock.js';
import type { TlsOrigination } from '../../../core/model/cluster.js';
import type { Address } from '../../../core/model/endpoint.js';

/** The head start of one address before the next is tried as well: "250 milliseconds" - RFC 8305 section 5, gRFC A61. */
const ATTEMPT_DELAY_MS = 250;

export interface Dialed {
  connected(socket: Socket): void;
  /** Every address failed; the last one's error. */
  failed(error: Error): void;
}

function open(address: Address, tls: TlsOrigination | undefined): Socket {
  const { host, port } = address;
  if (tls === undefined) return connectTcp({ host, port, noDelay: true });
  // RFC 6066 section 3: an IP address is not a server name.
  const servername = isIP(tls.sni) === 0 ? tls.sni : '';
  return connectTls({ host, port, servername, ALPNProtocols: ['h2'] });
}

/** Connects to the first address that answers, TLS included, racing them with a head start each. The result gives up. */
export function dial(
  addresses: readonly Address[],
  tls: TlsOrigination | undefined,
  clock: Clock,
  outcome: Dialed,
): () => void {
  const open_ = new Set<Socket>();
  let next = 0;
  let over = false;
  let stopTimer: (() => void) | undefined;

  const finish = (winner: Socket | undefined): void => {
    over = true;
    stopTimer?.();
    for (const socket of open_) if (socket !== winner) socket.destroy();
    open_.clear();
  };

  const attempt = (): void => {
    const address = addresses[next++];
    if (over || address === undefined) return;
    const socket = open(address, tls);
    open_.add(socket);
    socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      if (over) return;
      if (tls !== undefined && (socket as TLSSocket).alpnProtocol !== 'h2') {
        lose(socket, new Error('the server did not choose "h2" in the TLS handshake (ALPN): it speaks no HTTP/2 here'));
        return;
      }
      socket.off('error', onError);
      finish(socket);
      outcome.connected(socket);
    });
    const onError = (error: Error): void => lose(socket, error);
    socket.on('error', onError);
    stopTimer?.();
    if (next < addresses.length) stopTimer = clock.after(ATTEMPT_DELAY_MS, attempt, { background: true });
  };

  const lose = (socket: Socket, error: Error): void => {
    // The listener stays: a socket may report once more while it goes.
    socket.destroy();
    if (!open_.delete(socket) || over) return;
    if (next < addresses.length) attempt();
    else if (open_.size === 0) {
      finish(undefined);
      outcome.failed(error);
    }
  };

  attempt();
  return () => finish(undefined);
}
