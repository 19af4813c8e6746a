import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.js';
import type { DownstreamTls } from '../../core/model/tls.js';
import type { Random } from '../../core/random.js';
import { type TlsOutcome, TlsPeerError, type TlsServer } from '../../core/tls.js';
import type { Generation } from './generation.js';
import { Handshake, type Judgement, type Side, shownBy } from './handshake.js';
import type { Material } from './material.js';
import { peerIdentity } from './peer.js';
import { readCertificate } from '../certificate.js';

/** A client that has not finished by then is not going to, in milliseconds. Envoy's `listener_filters_timeout`. */
export const HANDSHAKE_TIMEOUT_MS = 15_000;

/** TLS of the servers of one filter chain. */
export class Server implements TlsServer, Side {
  readonly peerRole = 'client';
  readonly done = 'secure';
  readonly timeoutMs = HANDSHAKE_TIMEOUT_MS;

  constructor(
    private readonly config: DownstreamTls,
    readonly material: Material,
    private readonly env: { readonly clock: Clock; readonly random: Random },
  ) {}

  secure(tcp: Duplex, alpn: readonly string[], outcome: TlsOutcome): () => void {
    const handshake = new Handshake(this, tcp, alpn, outcome, this.env);
    handshake.begin();
    return () => handshake.abandon();
  }

  open(tcp: Duplex, alpn: readonly string[], generation: Generation): TLSSocket {
    const socket = new TLSSocket(tcp, {
      isServer: true,
      secureContext: generation.context,
      requestCert: this.config.roots !== undefined,
      // The verdict is ours: OpenSSL's would be told to the client.
      rejectUnauthorized: false,
      ...(alpn.length === 0 ? undefined : { ALPNProtocols: [...alpn] }),
    } as ConstructorParameters<typeof TLSSocket>[1]);
    return socket;
  }

  judge(socket: TLSSocket, generation: Generation): Judgement {
    handOver(socket);
    const { roots, requireClientCertificate } = this.config;
    const shown = roots === undefined ? undefined : shownBy(socket);
    if (shown === undefined) {
      if (requireClientCertificate) throw new TlsPeerError('no_certificate', 'the client showed no certificate');
      return { peer: undefined, verified: undefined };
    }
    const { verifier } = generation;
    if (verifier !== undefined) {
      const verified = verifier.verify('client', shown, undefined);
      return { peer: verified.peer, verified };
    }
    const { openssl, certificates } = shown;
    if (openssl !== undefined) throw new TlsPeerError(openssl.reason, `${openssl.message} (${openssl.code})`);
    return { peer: peerIdentity(readCertificate(certificates[0])), verified: undefined };
  }
}

/**
 * As a tls.Server does with a socket before it hands it out: errors are events from here on, and an HTTP/2 session does not wait for the handshake. Nor is there
 * another handshake (TLS 1.2), in which the client could show another certificate than the one that it was let in with.
 */
function handOver(socket: TLSSocket): void {
  const own = socket as unknown as { _releaseControl?(): void; secureConnecting: boolean };
  own._releaseControl?.();
  own.secureConnecting = false;
  socket.disableRenegotiation();
}
