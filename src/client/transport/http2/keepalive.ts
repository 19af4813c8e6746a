import type { ClientHttp2Session } from 'node:http2';
import type { Clock } from '../../../core/clock.js';
import type { Http2Settings } from './settings.js';

/**
 * Finds connections whose other side is gone without a word (gRFC A8): a PING every interval while there are calls, and the
 * connection is lost when one stays unanswered.
 */
export class Keepalive {
  #session: ClientHttp2Session | undefined;
  /** The interval or, while a PING is out, the time-out. */
  #stopTimer: (() => void) | undefined;
  #calls = false;

  constructor(
    private readonly settings: Http2Settings,
    private readonly clock: Clock,
    private readonly lost: (detail: string) => void,
  ) {}

  start(session: ClientHttp2Session): void {
    this.#session = session;
    if (this.settings.keepaliveWithoutCalls) this.#arm();
  }

  /** The first call started. */
  busy(): void {
    this.#calls = true;
    this.#arm();
  }

  /** The last call ended. A PING that is out is still waited for; the timer does nothing when it finds no calls. */
  idle(): void {
    this.#calls = false;
  }

  stop(): void {
    this.#session = undefined;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #arm(): void {
    const { keepaliveIntervalMs } = this.settings;
    if (this.#session === undefined || this.#stopTimer !== undefined || keepaliveIntervalMs === Number.POSITIVE_INFINITY) return;
    this.#stopTimer = this.clock.after(keepaliveIntervalMs, () => this.#ping(), { background: true });
  }

  #ping(): void {
    this.#stopTimer = undefined;
    const session = this.#session;
    if (session === undefined || session.destroyed || !(this.#calls || this.settings.keepaliveWithoutCalls)) return;
    const { keepaliveTimeoutMs } = this.settings;
    const stop = this.clock.after(keepaliveTimeoutMs, () => this.lost(`no answer to a PING within ${keepaliveTimeoutMs} ms`), {
      background: true,
    });
    this.#stopTimer = stop;
    session.ping((error: Error | null) => {
      stop();
      if (this.#stopTimer !== stop) return;
      this.#stopTimer = undefined;
      if (error === null) this.#arm();
    });
  }
}
