import type { TlsClient } from '../../core/tls.js';
import type { Transport, TransportFactory } from '../../core/transport.js';
import { type ProbeEnv, type ProbeTarget, tlsTo, UNLIMITED } from './probe.js';

/** Connections of checks stay open from one check to the next, however long that is; in milliseconds, the longest that a timer can wait. */
const NEVER_IDLE_MS = 2_147_483_647;

/** The transport of one endpoint's checks: made when one begins, kept for the next where connections are reused. */
export class ProbeConnection {
  #transport: Transport | undefined;
  readonly #tls: TlsClient | undefined;

  constructor(
    private readonly target: ProbeTarget,
    private readonly open: TransportFactory,
    private readonly env: ProbeEnv,
  ) {
    this.#tls = tlsTo(target, env.tls);
  }

  get transport(): Transport {
    const { endpoint, timeoutMs } = this.target;
    this.#transport ??= this.open({
      endpoint,
      tls: this.#tls,
      // The check's own limit comes first: a connection that is not made in time is a timeout.
      connectTimeoutMs: timeoutMs * 2,
      idleTimeoutMs: NEVER_IDLE_MS,
      limits: UNLIMITED,
      clock: this.env.clock,
      logger: this.env.logger,
    });
    return this.#transport;
  }

  /** A check has ended by itself. */
  done(): void {
    if (!this.target.reuseConnection) this.drop();
  }

  /** Cuts what is open; the next check begins on a connection of its own. */
  drop(): void {
    const transport = this.#transport;
    this.#transport = undefined;
    void transport?.close(true);
  }
}
