import { type Backoff, spreadJitter } from '../../core/backoff.js';
import { systemRandom } from '../../core/random.js';
import type { TransportOptions } from '../../core/transport.js';

/** 1 s × 1.6 to 120 s, ± 20 %, from the start of an attempt (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };

/** What a transport tells of its connections. */
export interface WarmOwner {
  /** Connections that take calls, or will once they are made. */
  readonly held: number;
  /** Those that are open. */
  readonly connections: number;
  /** Opens one ahead of calls, or not, when the cluster's limits allow none. */
  openAhead(): boolean;
}

/**
 * Keeps `ConnectionConfig.warm` connections open to an endpoint, calls or not. One that has ended is opened again at once, but not more often than the
 * back-off allows, so that an endpoint that is down, or hangs up, is not beset.
 */
export class WarmConnections {
  /** Attempts since a connection was made. */
  #attempts = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  #stopTimer: (() => void) | undefined;
  #closed = false;
  /** Who waits for the connections. */
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly count: number,
    private readonly options: TransportOptions,
    private readonly owner: WarmOwner,
  ) {}

  /** Whether one more is to be kept. */
  get wants(): boolean {
    return !this.#closed && this.owner.held < this.count;
  }

  /** Opens what is missing: called when the transport is there, and when connections have ended. */
  fill(): void {
    if (this.#closed || this.#stopTimer !== undefined) return;
    const missing = this.count - this.owner.held;
    if (missing <= 0) return;
    const { clock, random = systemRandom } = this.options;
    const now = clock.now();
    if (now >= this.#notBefore) {
      this.#notBefore = now + spreadJitter(BACKOFF, ++this.#attempts, random);
      let opened = 0;
      while (opened < missing && this.owner.openAhead()) opened++;
      if (opened === missing) return;
    }
    const again = (): void => {
      this.#stopTimer = undefined;
      this.fill();
    };
    this.#stopTimer = clock.after(this.#notBefore - now, again, { background: true });
    this.#goOn();
  }

  /** A connection was made: the endpoint is there. */
  made(): void {
    this.#attempts = 0;
  }

  /** A connection is open, and counted. */
  opened(): void {
    if (this.owner.connections >= this.count) this.#goOn();
  }

  /** A connection could not be made. */
  failed(): void {
    this.#goOn();
  }

  /** Resolves when all are open, or one cannot be had for now. */
  filled(): Promise<void> {
    if (this.#closed || this.#stopTimer !== undefined || this.owner.connections >= this.count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#closed = true;
    this.#stopTimer?.();
    this.#goOn();
  }

  #goOn(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Undefined when none are to be kept. */
export function warmConnections(options: TransportOptions, owner: WarmOwner): WarmConnections | undefined {
  const count = options.connections?.warm ?? 0;
  return count > 0 ? new WarmConnections(count, options, owner) : undefined;
}
