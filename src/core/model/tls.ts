import type { StringMatch } from './match.js';

/** One of Envoy's `SubjectAltNameMatcher.SanType`; `any`: whatever type of name (the deprecated, untyped list, which gRPC compares with DNS, URI and IP names). */
export type SanType = 'EMAIL' | 'DNS' | 'URI' | 'IP_ADDRESS' | 'OTHER_NAME' | 'any';

/** A name that a peer's certificate may have (Envoy `match_typed_subject_alt_names`, gRFC A29). */
export interface SanMatch {
  readonly type: SanType;
  readonly match: StringMatch;
  /** `OTHER_NAME` only: its object identifier, dotted. */
  readonly oid?: string | undefined;
}

/** What a peer's certificate is verified with: a certificate provider instance (gRFC A29), or the system's roots (gRFC A82). */
export type TlsRoots = { readonly kind: 'provider'; readonly instance: string } | { readonly kind: 'system' };

/** TLS towards the servers of a cluster (Envoy `UpstreamTlsContext`, as gRFC A29, A82 and A101 read it). */
export interface UpstreamTls {
  /** Server name sent; undefined: none, unless `sniFromHost`. An IP address is never sent as one (RFC 6066 section 3). */
  readonly sni: string | undefined;
  /** `auto_host_sni`: the endpoint's hostname is the server name, where it has one (gRFC A101). Absent: no. */
  readonly sniFromHost?: boolean | undefined;
  /** The certificate must have the server name that was sent among its DNS names, or the address among its IP names where `sni` is one (`auto_sni_san_validation`, gRFC A101; any TLS origination). In place of `sans`. Absent: no. */
  readonly verifySni?: boolean | undefined;
  /** Certificate provider instance of one's own certificate; undefined: none is shown. */
  readonly identity: string | undefined;
  readonly roots: TlsRoots;
  /** The certificate must have one of these names; empty: any name will do. */
  readonly sans: readonly SanMatch[];
  /** Depth of the chain at most (`max_verify_depth`). Absent: OpenSSL's. */
  readonly maxVerifyDepth?: number | undefined;
}

/** TLS to a server outside of the mesh: it is verified for this name, with the system's roots. */
export const systemTls = (name: string): UpstreamTls => ({
  sni: name,
  verifySni: true,
  identity: undefined,
  roots: { kind: 'system' },
  sans: [],
});

/** Whether connections made by the one are as good as those made by the other. Patterns are compared by their text: each is an object of its own. */
export const sameTls = (a: UpstreamTls | undefined, b: UpstreamTls | undefined): boolean =>
  a === b || keyOf(a) === keyOf(b);

const keyOf = (tls: UpstreamTls | undefined): string | undefined =>
  JSON.stringify(tls, (name, value) => (name === 'regex' ? (value as { source: string }).source : value));

/** TLS of a server's filter chain (Envoy `DownstreamTlsContext`, as gRFC A29 reads it). */
export interface DownstreamTls {
  /** Certificate provider instance of the server's certificate. */
  readonly identity: string;
  /** Undefined: clients are not asked for a certificate. */
  readonly roots: TlsRoots | undefined;
  /** A client without a certificate is refused. */
  readonly requireClientCertificate: boolean;
}
