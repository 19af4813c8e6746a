import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import type { Random } from '../../core/random.js';
import { TlsPeerError } from '../../core/tls.js';
import type { Generation } from './generation.js';
import { SKEW_MS } from './validity.js';
import type { Role, Verified } from './verifier.js';

/** Within how long connections made with a certificate that was replaced since are drained, in milliseconds, so that not all are made anew at once. */
export const DRAIN_SPREAD_MS = 600_000;
/** And within this share of what is left of that certificate, if that is less: by its end nobody uses it. */
const DRAIN_SHARE = 0.5;
/**
 * How long what is under way on a connection may go on when a certificate that it was made with has ended, in milliseconds: the peer's, or one's own where that was
 * replaced since. As long as gRFC A36 gives connections that are drained; TLS itself does not look at certificates again.
 */
export const EXPIRED_GRACE_MS = 600_000;

export interface LiveConnection {
  readonly socket: TLSSocket;
  readonly role: Role;
  /** Undefined: it showed no certificate, or the system's roots vouch for it. */
  readonly verified: Verified | undefined;
  drain(): void;
}

/** A connection that is open, while certificates and trust go on. */
export class Live {
  #verified: Verified | undefined;
  #stopTimer: (() => void) | undefined;
  #over = false;
  #drained = false;
  /** When the certificate ends that was one's own before it was replaced, wall-clock milliseconds. */
  #ownEnd: number | undefined;

  constructor(
    private generation: Generation,
    private readonly connection: LiveConnection,
    private readonly env: { readonly clock: Clock; readonly random: Random },
  ) {
    this.#verified = connection.verified;
  }

  /** Judged anew at once; drained in a while. */
  changed(generation: Generation): void {
    if (this.#over) return;
    const before = this.generation;
    this.generation = generation;
    const { socket, role } = this.connection;
    if (this.#verified !== undefined) {
      try {
        // Without a verifier nobody would be verified any more: that is a matter of new connections.
        this.#verified = generation.verifier?.again(role, this.#verified) ?? this.#verified;
      } catch (error) {
        this.cancel();
        socket.destroy(error as Error);
        return;
      }
    }
    if (!generation.sameCertificateAndTrust(before)) this.#drainSoon(before);
  }

  /** To be told every now and then what time it is, or may be: a certificate ends without anything having changed. */
  passed(times: readonly number[]): void {
    if (this.#over) return;
    const peerEnd = Math.min(...(this.#verified?.chain ?? []).map(({ certificate }) => certificate.notAfter));
    const end = Math.min(peerEnd, this.#ownEnd ?? Number.POSITIVE_INFINITY);
    const isOver = (moreMs: number): boolean => times.every((time) => time > end + moreMs);
    if (isOver(EXPIRED_GRACE_MS)) {
      this.cancel();
      const whose = end === peerEnd ? 'its certificate' : 'the certificate that it knows us by';
      this.connection.socket.destroy(
        new TlsPeerError('expired', `${whose} has ended, at ${new Date(end).toISOString()}`),
      );
    } else if (isOver(SKEW_MS)) this.#drain();
  }

  /** The certificate that we are known by was taken back: the server refuses what comes next, so that nothing more is to be sent to it. */
  disowned(): void {
    if (this.connection.role === 'server') this.#drain();
  }

  /** Nothing more is told. */
  cancel(): void {
    this.#over = true;
    this.#stopTimer?.();
  }

  #drainSoon({ parts }: Generation): void {
    // One that is on its way already is not put off by the next change.
    if (this.#stopTimer !== undefined || this.#drained) return;
    this.#ownEnd = parts.identity?.notAfter;
    const { clock, random } = this.env;
    const left = parts.identity === undefined ? Number.POSITIVE_INFINITY : parts.identity.notAfter - clock.wallTime();
    const withinMs = Math.min(DRAIN_SPREAD_MS, Math.max(0, left * DRAIN_SHARE));
    this.#stopTimer = clock.after(withinMs * random.next(), () => this.#drain(), { background: true });
  }

  #drain(): void {
    if (this.#over || this.#drained) return;
    this.#drained = true;
    this.connection.drain();
  }
}

/** Errors of a peer, whatever was thrown. */
export const asPeerError = (error: unknown): TlsPeerError =>
  error instanceof TlsPeerError
    ? error
    : new TlsPeerError('untrusted', `it cannot be verified: ${(error as Error).message}`, { cause: error });
