import type { ClientHttp2Session } from 'node:http2';
import type { Clock } from '../../../core/clock.js';
import type { Http2Settings } from './settings.js';

/** How long a PING sent on suspicion may stay unanswered: short, because new calls go into the silence meanwhile. In milliseconds. */
const SUSPICION_TIMEOUT_MS = 5_000;

/**
 * Finds connections whose other side is gone without a word: a PING that stays unanswered means that the connection is lost. One goes
 * out every interval while there are calls, if keepalive is on (gRFC A8); and one whenever there is cause for suspicion.
 */
export class Keepalive {
  #session: ClientHttp2Session | undefined;
  /** The interval or, while a PING is out, the time-out. */
  #stopTimer: (() => void) | undefined;
  #pinging = false;
  #calls = false;
  /** The server has answered a call since the last suspicion. Set by `alive`, reset by `suspect`. */
  #alive = true;

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

  /** The server answered a call. */
  alive(): void {
    this.#alive = true;
  }

  /**
   * A call got no answer, or a refusal: both could be the silence of a dead peer (Node does not tell when nghttp2 has given a session
   * up). At most one PING per answered call, so that no server sees a strike in it (gRFC A8, "server enforcement").
   */
  suspect(): void {
    if (!this.#alive || this.#pinging || this.#session === undefined) return;
    this.#alive = false;
    this.#stopTimer?.();
    this.#ping(Math.min(SUSPICION_TIMEOUT_MS, this.settings.keepaliveTimeoutMs));
  }

  stop(): void {
    this.#session = undefined;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #arm(): void {
    const { keepaliveIntervalMs } = this.settings;
    if (
      this.#session === undefined ||
      this.#stopTimer !== undefined ||
      keepaliveIntervalMs === Number.POSITIVE_INFINITY
    )
      return;
    this.#stopTimer = this.clock.after(keepaliveIntervalMs, () => this.#intervalPassed(), { background: true });
  }

  #intervalPassed(): void {
    this.#stopTimer = undefined;
    if (this.#calls || this.settings.keepaliveWithoutCalls) this.#ping(this.settings.keepaliveTimeoutMs);
  }

  #ping(timeoutMs: number): void {
    const session = this.#session;
    if (session === undefined || session.destroyed) return;
    const timedOut = (): void => this.lost(`no answer to a PING within ${timeoutMs} ms`);
    const stop = this.clock.after(timeoutMs, timedOut, { background: true });
    this.#stopTimer = stop;
    this.#pinging = true;
    session.ping((error: Error | null) => {
      stop();
      this.#pinging = false;
      if (this.#stopTimer !== stop) return;
      this.#stopTimer = undefined;
      if (error === null) this.#arm();
    });
  }
}
