import type { PeerIdentity } from '../../core/identity.js';
import type { RequestView } from '../../routing/request.js';

/** A request as policies judge it. What costs something to find out is a getter. */
export interface AuthzRequest extends Omit<RequestView, 'source'> {
  /** Canonical (`judgedPath`), without query. */
  readonly judgedPath: string;
  /** Whether the connection is TLS. */
  readonly secure: boolean;
  /** Of a verified certificate; undefined: none was shown. */
  readonly peerIdentity: PeerIdentity | undefined;
  /**
   * IP address at the other end of the connection. Undefined, as are those that follow: not known, so that it is in every network that denies, and in none that
   * allows.
   */
  readonly peerAddress: string | undefined;
  /** The client's, where proxies in front are trusted; else `peerAddress`. */
  readonly clientAddress: string | undefined;
  /** This end of the connection. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  /** Server name that the client asked for by TLS; '' for none. */
  readonly serverName: string;
  /** Of a verified token; undefined: none. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

export type Test = (request: AuthzRequest) => boolean;
