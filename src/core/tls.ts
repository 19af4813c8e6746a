import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { PeerIdentity } from './identity.js';
import type { DownstreamTls, UpstreamTls } from './model/tls.js';

/** What is told of one connection. `secured` or `failed` once; then, of one that was secured, `drain` at most once. */
export interface TlsOutcome {
  /**
   * The handshake is done and the peer is who it must be. `peer`: undefined where it showed no certificate. From here on it is this socket that is destroyed,
   * never the one below it.
   */
  secured(socket: TLSSocket, peer: PeerIdentity | undefined): void;
  /** Names the reason for us. The connection is closed; nothing of it was told to the peer. */
  failed(error: Error): void;
  /**
   * One's own certificate or whom we trust was replaced since: no new calls on this connection, those under way finish. A connection whose peer is no longer to be
   * believed (revoked, trust withdrawn) is destroyed without this.
   */
  drain(): void;
}

/** Makes TLS connections for a cluster: always with the newest certificate and trust, resuming sessions where that is allowed. */
export interface TlsClient {
  /** What errors call the server: the name that is sent, or the cluster's. */
  readonly name: string;
  /** True when connections made by this one are as good as those made by the other. */
  sameAs(other: TlsClient): boolean;
  /** What a handshake would wait for now: a first certificate, whom to trust. For messages of who waited in vain. Undefined: nothing. */
  readonly waitsFor: string | undefined;
  /**
   * Puts TLS on a TCP connection, which is its own from here on: closed when that fails, and when the result is called, which gives up. Waits for a first
   * certificate where there is none yet.
   */
  secure(tcp: Socket, alpn: readonly string[], outcome: TlsOutcome): () => void;
}

/** Takes TLS connections for a server. */
export interface TlsServer {
  /** Puts TLS on a connection that came in. `alpn`: what this server speaks, in order of preference. */
  secure(tcp: Duplex, alpn: readonly string[], outcome: TlsOutcome): () => void;
}

/** Makes both from configuration: one per mesh, in `identity/tls`. */
export interface TlsFactory {
  /** `host`: the endpoint's own hostname or address, for `sniFromHost` and messages. */
  client(config: UpstreamTls, host: string): TlsClient;
  server(config: DownstreamTls): TlsServer;
}

/** Why a peer was refused. */
export type TlsRefusal =
  | 'no_certificate'
  | 'untrusted'
  | 'self_signed'
  | 'expired'
  | 'not_yet_valid'
  | 'revoked'
  | 'wrong_trust_domain'
  | 'wrong_san'
  | 'name_constraint'
  | 'not_an_svid'
  | 'wrong_usage';

/** Why a server refused a connection: by its certificate; it spoke plain text where TLS is asked for; the handshake failed, or took too long; there were too many. */
export type TlsRefused = TlsRefusal | 'plaintext' | 'handshake' | 'timeout' | 'overflow';

/** A peer whose certificate will not do. The message is for us: it goes into logs and causes, never to the peer. */
export class TlsPeerError extends Error {
  override readonly name = 'TlsPeerError';

  constructor(
    readonly reason: TlsRefusal,
    detail: string,
    options?: ErrorOptions,
  ) {
    super(detail, options);
  }
}
