import type { TransportOptions } from '../../../core/transport.js';
import { limitLifetime } from '../lifetime.js';
import type { Opened } from './connect.js';

/** What is in reserve, and since when, in monotonic milliseconds. */
export interface Reserved {
  readonly opened: Opened;
  readonly since: number;
}

/**
 * Connections that no call has used yet. undici watches over a socket from the first request on; until then this does. They do not keep the process
 * from ending.
 */
export class Reserve {
  readonly #held = new Map<Opened, { readonly since: number; readonly release: () => void }>();

  constructor(
    private readonly options: TransportOptions,
    /** One has ended: its server hung up, or it was idle for too long. */
    private readonly lost: () => void,
  ) {}

  get size(): number {
    return this.#held.size;
  }

  put(opened: Opened): void {
    const { socket, retirement } = opened;
    const { clock, idleTimeoutMs } = this.options;
    const end = (): void => {
      this.#remove(opened);
      socket.destroy();
      this.lost();
    };
    const stopIdle = clock.after(idleTimeoutMs, end, { background: true });
    const stopLifetime = limitLifetime(this.options, end);
    // A server has nothing to say before it is asked: what it sends (a 408 before it hangs up) would pass for the reply to the next request.
    for (const event of ['data', 'end', 'close'] as const) socket.on(event, end);
    socket.unref();
    this.#held.set(opened, {
      since: clock.now(),
      release: () => {
        stopIdle();
        stopLifetime?.();
        retirement.listen(undefined);
        for (const event of ['data', 'end', 'close'] as const) socket.off(event, end);
      },
    });
    // Last: it may be over already.
    retirement.listen(end);
  }

  /** The one that came last, so that spare ones can time out. */
  take(): Reserved | undefined {
    let opened: Opened | undefined;
    let since = 0;
    for (const [each, held] of this.#held) {
      opened = each;
      since = held.since;
    }
    if (opened === undefined) return undefined;
    this.#remove(opened);
    opened.socket.ref();
    return { opened, since };
  }

  /** Ends them all; `lost` hears of each. */
  close(): void {
    for (const opened of [...this.#held.keys()]) {
      this.#remove(opened);
      opened.socket.destroy();
      this.lost();
    }
  }

  #remove(opened: Opened): void {
    this.#held.get(opened)?.release();
    this.#held.delete(opened);
  }
}
