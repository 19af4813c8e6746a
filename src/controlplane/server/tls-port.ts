import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../core/clock.js';
import { DEFAULT_PROVIDER, type IdentitySource, type PeerIdentity } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import type { TlsServer } from '../../core/tls.js';
import { type MeshTls, tlsFactory } from '../../identity/tls/factory.js';
import type { ListenAddress } from './listen-address.js';

/**
 * Who may connect. `joining`: TLS, with a certificate of the mesh or with none yet. `strict`: TLS with a certificate of the mesh. `permissive`: all that and clear text,
 * for as long as clients move over.
 */
export type TlsPortMode = 'joining' | 'strict' | 'permissive';

export interface TlsPortOptions {
  readonly mode: TlsPortMode;
  /** The certificate that is shown, and whom to believe; the newest at each connection. */
  readonly identity: IdentitySource;
  /** Given connections that may speak HTTP/2. */
  readonly accept: (connection: Duplex) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** With `joining` alone: who shows a certificate of the mesh that ended no earlier than this, wall-clock milliseconds, is let in, to renew it. */
  readonly endedFrom?: () => number;
}

/** A connection that has not sent its first byte by then is closed; milliseconds. */
const FIRST_BYTE_MS = 10_000;
/** First byte of a TLS handshake (RFC 8446 section 5.1). HTTP/2 in clear begins with "PRI". */
const HANDSHAKE = 0x16;

/** A port of the control plane that speaks TLS: who connects is verified before a byte of his is read as HTTP/2, and is cut off when he is revoked. */
export class TlsPort {
  readonly #options: TlsPortOptions;
  readonly #tcp: Server;
  readonly #factory: MeshTls;
  readonly #tls: TlsServer;
  readonly #open = new Set<Duplex>();
  readonly #peers = new Map<string, PeerIdentity>();

  constructor(options: TlsPortOptions) {
    this.#options = options;
    const { clock, random, logger, identity, mode } = options;
    const providers = { get: (name: string) => (name === DEFAULT_PROVIDER ? identity : undefined) };
    const ended = mode === 'joining' && options.endedFrom !== undefined ? { endedFrom: options.endedFrom } : {};
    this.#factory = tlsFactory({ providers, clock, random, logger, ...ended });
    this.#tls = this.#factory.server({
      identity: DEFAULT_PROVIDER,
      roots: { kind: 'provider', instance: DEFAULT_PROVIDER },
      requireClientCertificate: mode === 'strict',
    });
    this.#tcp = createServer({ noDelay: true }, (socket) => this.#connected(socket));
  }

  /** Resolves with the port; port 0 takes a free one. */
  listen({ host, port }: ListenAddress): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#tcp.once('error', (error) => {
        reject(new Error(`cannot listen on ${host}:${port}: ${error.message}`, { cause: error }));
      });
      this.#tcp.listen({ host, port }, () => {
        const address = this.#tcp.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  /** Who is at the other end of an open connection, by its `address:port` as grpc-js writes it (`getPeer`). Undefined: he showed no certificate. */
  peerAt(address: string): PeerIdentity | undefined {
    return this.#peers.get(address);
  }

  /** Takes no more connections. */
  async stop(): Promise<void> {
    if (!this.#tcp.listening) return;
    this.#tcp.close();
  }

  /** Ends those that are open. */
  destroy(): void {
    for (const socket of this.#open) socket.destroy();
    this.#factory.close();
  }

  #connected(socket: Socket): void {
    const { mode, clock, accept } = this.#options;
    this.#track(socket);
    if (mode !== 'permissive') return this.#handshake(socket);
    const cancel = clock.after(FIRST_BYTE_MS, () => socket.destroy(), { background: true });
    socket.once('close', cancel);
    socket.once('readable', () => {
      cancel();
      const first: Buffer | null = socket.read(1);
      if (first === null) return void socket.destroy();
      socket.unshift(first);
      if (first[0] === HANDSHAKE) this.#handshake(socket);
      else accept(socket);
    });
  }

  #handshake(tcp: Socket): void {
    const { accept, logger } = this.#options;
    const address = `${tcp.remoteAddress}:${tcp.remotePort}`;
    this.#tls.secure(tcp, ['h2'], {
      secured: (socket, peer) => {
        this.#track(socket);
        if (socket.alpnProtocol !== 'h2') return void socket.destroy();
        if (peer !== undefined) {
          if (peer.spiffeId === undefined) return void socket.destroy();
          this.#peers.set(address, peer);
          socket.once('close', () => this.#peers.delete(address));
        }
        accept(socket);
      },
      failed: (error) => logger.warn('a connection was refused', { peer: address, reason: error.message }),
      // Streams of the control plane last: clients that connect anew would only ask for the same again.
      drain: () => {},
    });
  }

  #track(socket: Duplex): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    socket.on('error', () => socket.destroy());
  }
}
