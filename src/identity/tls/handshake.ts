import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import { setPeer, type PeerIdentity } from '../../core/identity.js';
import type { Random } from '../../core/random.js';
import type { TlsOutcome } from '../../core/tls.js';
import type { Generation } from './generation.js';
import { asPeerError, Live } from './live.js';
import type { Material } from './material.js';
import { opensslVerdict } from './openssl.js';
import type { Role, Shown, Verified } from './verifier.js';

/** What a side of TLS does of its own. */
export interface Side {
  readonly material: Material;
  /** What the other one is. */
  readonly peerRole: Role;
  /** Milliseconds that the handshake may take; undefined: somebody else sees to that. */
  readonly timeoutMs?: number | undefined;
  /** Puts TLS on the connection. May throw. */
  open(tcp: Duplex, alpn: readonly string[], generation: Generation): TLSSocket;
  /** The event of a handshake that is done. */
  readonly done: 'secureConnect' | 'secure';
  /** Throws a TlsPeerError; undefined: there is no peer that was verified. */
  judge(socket: TLSSocket, generation: Generation): Judgement;
}

export interface Judgement {
  readonly peer: PeerIdentity | undefined;
  /** Undefined: the system's roots vouch for it, or it showed none. */
  readonly verified: Verified | undefined;
}

/** One handshake, from the wait for a certificate to the verdict. */
export class Handshake {
  #socket: TLSSocket | undefined;
  #stopWaiting: (() => void) | undefined;
  #stopTimer: (() => void) | undefined;
  #over = false;

  constructor(
    private readonly side: Side,
    private readonly tcp: Duplex,
    private readonly alpn: readonly string[],
    private readonly outcome: TlsOutcome,
    private readonly env: { readonly clock: Clock; readonly random: Random },
  ) {}

  begin(): void {
    const { material, timeoutMs } = this.side;
    if (timeoutMs !== undefined) {
      const late = (): void => {
        const why = material.waitsFor === undefined ? '' : `; it waited for ${material.waitsFor}`;
        this.#fail(new Error(`the handshake took more than ${timeoutMs} ms${why}`));
      };
      this.#stopTimer = this.env.clock.after(timeoutMs, late, { background: true });
    }
    const generation = material.current;
    // Who shows what everybody refuses hears of it when the request is under way, in TLS 1.3, and cannot tell then whether it was served.
    const impossible = material.impossible ?? (this.side.peerRole === 'server' ? material.revoked : undefined);
    // Not before `secure` has returned: who is told may want to give up what it has not got yet.
    if (impossible !== undefined) queueMicrotask(() => this.#fail(impossible));
    else if (generation !== undefined) this.#open(generation);
    else {
      this.tcp.once('close', () => this.#fail(new Error('the connection was closed before the handshake')));
      this.#stopWaiting = material.wait({
        ready: (first) => this.#open(first),
        failed: (problem) => this.#fail(problem),
      });
    }
  }

  abandon(): void {
    if (this.#over) return;
    this.#finish();
    this.#destroy();
  }

  #open(generation: Generation): void {
    this.#stopWaiting = undefined;
    if (this.tcp.destroyed) return;
    let socket: TLSSocket;
    try {
      socket = this.side.open(this.tcp, this.alpn, generation);
    } catch (error) {
      queueMicrotask(() => this.#fail(error as Error));
      return;
    }
    this.#socket = socket;
    const fail = (error: Error): void => this.#fail(error);
    // Stays: a socket may report once more while it goes, and nobody may hold it.
    socket.on('error', fail);
    // What a server socket says before it is anybody's.
    socket.on('_tlsError', fail);
    socket.once('close', () => this.#fail(new Error('the connection was closed during the handshake')));
    socket.once(this.side.done, () => this.#done(socket, generation));
  }

  #done(socket: TLSSocket, generation: Generation): void {
    if (this.#over) return;
    const { material } = this.side;
    // By what is known now, whatever it was when the handshake began.
    const current = material.current ?? generation;
    let judgement: Judgement;
    try {
      judgement = this.side.judge(socket, current);
    } catch (error) {
      this.#fail(asPeerError(error));
      return;
    }
    this.#finish();
    const { peer, verified } = judgement;
    if (peer !== undefined) {
      setPeer(socket, peer);
      socket.authorized = true;
    }
    const { outcome } = this;
    const drain = (): void => outcome.drain();
    const live = new Live(generation, { socket, role: this.side.peerRole, verified, drain }, this.env);
    socket.once('close', material.add(live));
    outcome.secured(socket, peer);
    if (current !== generation) live.changed(current);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#finish();
    // First, and from the top: who is told may destroy the TCP connection, which Node 20 does not survive below a TLS socket that is in its handshake.
    this.#destroy();
    this.outcome.failed(error);
  }

  #finish(): void {
    this.#over = true;
    this.#stopWaiting?.();
    this.#stopTimer?.();
  }

  /** Without a word to the other side: what is wrong with it is ours to know. */
  #destroy(): void {
    this.#socket?.destroy();
    this.tcp.destroy();
  }
}

/** What a peer has shown; undefined: no certificate. */
export function shownBy(socket: TLSSocket): Shown | undefined {
  const resumed = socket.isSessionReused();
  const certificates: Buffer[] = [];
  // Of a resumed session there is the leaf alone, and no chain to go up.
  for (let next: Shows | undefined = socket.getPeerCertificate(!resumed as true); next?.raw !== undefined; ) {
    certificates.push(next.raw);
    const above: Shows | undefined = next.issuerCertificate;
    next = above === next || certificates.length > MAX_CHAIN ? undefined : above;
  }
  const [leaf, ...rest] = certificates;
  return leaf === undefined ? undefined : { certificates: [leaf, ...rest], openssl: opensslVerdict(socket), resumed };
}

interface Shows {
  readonly raw?: Buffer;
  readonly issuerCertificate?: Shows;
}

/** The object that Node makes of a chain ends with a root that is its own issuer, or not at all. */
const MAX_CHAIN = 32;
