import type { Socket } from 'node:net';
import type { TransportOptions } from '../../../core/transport.js';
import { limitLifetime } from '../lifetime.js';

/** What is in reserve, and since when, in monotonic milliseconds. */
export interface Reserved {
  readonly socket: Socket;
  readonly since: number;
}

/**
 * Connections that no call has used yet. undici watches over a socket from the first request on; until then this does. They do not keep the process
 * from ending.
 */
export class Reserve {
  readonly #sockets = new Map<Socket, { readonly since: number; readonly release: () => void }>();

  constructor(
    private readonly options: TransportOptions,
    /** One has ended: its server hung up, or it was idle for too long. */
    private readonly lost: () => void,
  ) {}

  get size(): number {
    return this.#sockets.size;
  }

  put(socket: Socket): void {
    const { clock, idleTimeoutMs } = this.options;
    const end = (): void => {
      this.#remove(socket);
      socket.destroy();
      this.lost();
    };
    const stopIdle = clock.after(idleTimeoutMs, end, { background: true });
    const stopLifetime = limitLifetime(this.options, end);
    // A server has nothing to say before it is asked: what it sends (a 408 before it hangs up) would pass for the reply to the next request.
    for (const event of ['data', 'end', 'close'] as const) socket.on(event, end);
    socket.unref();
    this.#sockets.set(socket, {
      since: clock.now(),
      release: () => {
        stopIdle();
        stopLifetime?.();
        for (const event of ['data', 'end', 'close'] as const) socket.off(event, end);
      },
    });
  }

  /** The one that came last, so that spare ones can time out. */
  take(): Reserved | undefined {
    let socket: Socket | undefined;
    let since = 0;
    for (const [each, held] of this.#sockets) {
      socket = each;
      since = held.since;
    }
    if (socket === undefined) return undefined;
    this.#remove(socket);
    socket.ref();
    return { socket, since };
  }

  /** Ends them all; `lost` hears of each. */
  close(): void {
    for (const socket of [...this.#sockets.keys()]) {
      this.#remove(socket);
      socket.destroy();
      this.lost();
    }
  }

  #remove(socket: Socket): void {
    this.#sockets.get(socket)?.release();
    this.#sockets.delete(socket);
  }
}
