import { type HeaderFields, headerFields } from '../core/headers.js';
import type { PeerIdentity } from '../core/identity.js';
import type { Protocol, Scheme } from '../core/call.js';
import type { AuthzRequest } from '../identity/authz/request.js';
import type { InboundContext } from './context.js';
import { clientAddress } from './remote-address.js';
import type { InboundView } from './view.js';

/** What a socket tells of its connection; grpc-js's connection info has the addresses only. */
interface Connection {
  readonly encrypted?: boolean | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  /** Node: the name that the client sent, false for none. */
  readonly servername?: string | false | null | undefined;
}

/** A request that came in, for the engine. */
export class InboundAuthz implements AuthzRequest {
  readonly protocol: Protocol;
  readonly scheme: Scheme;
  readonly method: string;
  readonly host: string;
  readonly path: string;
  #headers: HeaderFields | undefined;

  constructor(
    private readonly context: InboundContext,
    private readonly view: InboundView,
    readonly judgedPath: string,
  ) {
    this.protocol = view.protocol;
    this.scheme = view.scheme;
    this.method = view.method;
    this.host = view.host;
    this.path = view.path;
  }

  get headers(): HeaderFields {
    this.#headers ??= withBinary(this.view);
    return this.#headers;
  }

  get secure(): boolean {
    return this.#connection.encrypted === true || this.context.peer !== undefined;
  }

  get peerIdentity(): PeerIdentity | undefined {
    return this.context.peer;
  }

  get peerAddress(): string | undefined {
    return this.view.peer;
  }

  get clientAddress(): string | undefined {
    return clientAddress(this.view.peer, this.view.headers['x-forwarded-for'], this.context.trustedHops);
  }

  get localAddress(): string | undefined {
    return this.#connection.localAddress;
  }

  get localPort(): number | undefined {
    return this.#connection.localPort;
  }

  get serverName(): string {
    return this.#connection.servername || '';
  }

  get claims(): Readonly<Record<string, unknown>> | undefined {
    return this.context.caller?.claims;
  }

  get #connection(): Connection {
    return (this.context.connection ?? {}) as Connection;
  }
}

/** grpc-js's `Metadata`, as much as is read. */
interface Binary {
  getMap(): Readonly<Record<string, unknown>>;
  get(name: string): readonly (string | Buffer)[];
}

/** "Binary headers are represented in their base64-encoded form" - gRFC A41. Routes do not see them. */
function withBinary({ protocol, raw, headers }: InboundView): HeaderFields {
  if (protocol !== 'grpc' || typeof (raw as Partial<Binary>).getMap !== 'function') return headers;
  const metadata = raw as Binary;
  const names = Object.keys(metadata.getMap()).filter((name) => name.endsWith('-bin'));
  if (names.length === 0) return headers;
  const fields = headerFields(headers);
  for (const name of names) {
    fields[name] = metadata
      .get(name)
      .map((value) => (typeof value === 'string' ? value : value.toString('base64').replace(/=+$/, '')));
  }
  return fields;
}

/** A host and a port, and nothing that somebody could read as something else (RFC 3986 section 3.2.2, without user info and encodings). */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;

/**
 * Why it is not certain which host a request is for; undefined: it is. "If multiple Host headers or multiple :authority headers are present, the request must be rejected"
 * (gRFC A41), and where a handler could read another one than was judged, too.
 */
export function authorityFault({ host, headers }: Pick<InboundView, 'host' | 'headers'>): string | undefined {
  if (host !== '' && !AUTHORITY.test(host)) return 'the authority is not a host and a port';
  const named = headers['host'];
  if (named === undefined) return undefined;
  const other =
    typeof named === 'string'
      ? named.toLowerCase() !== host.toLowerCase()
      : named.length > 1 || named[0]?.toLowerCase() !== host.toLowerCase();
  return other ? 'the request names several hosts' : undefined;
}
