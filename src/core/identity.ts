import type { KeyObject } from 'node:crypto';
import type { MeshError } from './errors.js';

/** A certificate with its key (SPIFFE X509-SVID where it has a SPIFFE ID). Immutable. */
export interface X509Identity {
  /** `spiffe://trust-domain/path`; undefined: the certificate has none, as that of a server outside of SPIFFE. */
  readonly spiffeId: string | undefined;
  /** PEM, leaf first, without the root. */
  readonly certificates: readonly [string, ...string[]];
  /** Never exported, never logged: `JSON.stringify` and `util.inspect` of it show nothing. */
  readonly privateKey: KeyObject;
  /** Wall-clock milliseconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Which of several identities of a workload this is (SPIFFE Workload API `hint`). Absent: none. */
  readonly hint?: string | undefined;
}

/** Whom to believe. `spiffe`: each trust domain answers for its own names only; `roots`: any name under these certificates. PEM each. */
export type Trust =
  | { readonly kind: 'spiffe'; readonly bundles: ReadonlyMap<string, readonly string[]> }
  | { readonly kind: 'roots'; readonly certificates: readonly string[] };

/** All that a source of identity knows at one moment. Complete and immutable: it replaces the one before. */
export interface IdentityState {
  /** Undefined: this source has roots only. */
  readonly identity: X509Identity | undefined;
  /** Undefined: this source has a certificate only. */
  readonly trust: Trust | undefined;
  /** X.509 CRLs, PEM. Signed by an issuer that `trust` vouches for; others are left out. Absent: none. */
  readonly crls?: readonly string[] | undefined;
}

export interface IdentityWatcher {
  /** Replaces the one before. */
  changed(state: IdentityState): void;
  /** Trouble; what was known before stands. Told again while it lasts, each time with what is the matter now. */
  failed(error: MeshError): void;
}

/**
 * Where a workload's certificate and its trust come from: files, our CA, SDS, the SPIFFE Workload API, memory. A certificate provider instance in gRPC's terms
 * (gRFC A29). Makes its own keys where it can, renews by itself, and survives trouble: `current` is never worse than what there was.
 */
export interface IdentitySource {
  /** For errors and logs: `files /run/cert.pem`, `ca 10.0.0.1:18001`. */
  readonly name: string;
  /** The newest; undefined until there is a first one. */
  readonly current: IdentityState | undefined;
  /** Tells of the current state at once, where there is one, and of each after it, until the result is called. */
  watch(watcher: IdentityWatcher): () => void;
  /** Ends every timer, file handle and connection. `current` stays; `watch` throws MeshClosedError. Idempotent. */
  close(): Promise<void>;
}

/** Sources by certificate provider instance name; undefined: there is none of that name. */
export interface CertificateProviders {
  get(instance: string): IdentitySource | undefined;
}

/** The instance that our own configuration names: the mesh's identity (common.proto: "defaults to default"; istiod's name for it as well). */
export const DEFAULT_PROVIDER = 'default';

/** One `Secret` of SDS (Envoy `transport_sockets.tls.v3.Secret`), as far as it says who one is or whom to believe. */
export type Secret =
  /** `tls_certificate`. `certificates`: PEM, leaf first. */
  | {
      readonly kind: 'certificate';
      readonly certificates: readonly [string, ...string[]];
      readonly privateKey: KeyObject;
    }
  /** `validation_context`: `trusted_ca`, or what a `SPIFFECertValidatorConfig` has for each trust domain. `crls`: PEM; empty: none. */
  | { readonly kind: 'validation'; readonly trust: Trust; readonly crls: readonly string[] };

export interface SecretWatcher {
  /** Replaces the one before. */
  changed(secret: Secret): void;
  /** There is none, or none that can be used; whatever was known before stands (a workload's identity does not end with its control plane). */
  failed(error: MeshError): void;
}

/** Watches one secret by its name (`default`, `ROOTCA`, a SPIFFE ID, a trust domain) until the result is called: what an xDS server's SDS is to a source. */
export type SecretWatch = (name: string, watcher: SecretWatcher) => () => void;

/** Who is at the other end of a TLS connection. Only ever of a certificate that has been verified. */
export interface PeerIdentity {
  /** The certificate's SPIFFE ID; undefined: it has none. */
  readonly spiffeId: string | undefined;
  /** `cluster.local` of `spiffe://cluster.local/ns/default/sa/reviews`; undefined without a SPIFFE ID. */
  readonly trustDomain: string | undefined;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** RFC 2253. */
  readonly subject: string;
  /** Hex, upper case. */
  readonly serialNumber: string;
  /** SHA-256 of the certificate, hex, lower case, without colons. */
  readonly fingerprint: string;
  /** Wall-clock milliseconds. */
  readonly notAfter: number;
}

const peers = new WeakMap<object, PeerIdentity>();

/** Written once, by who verified it: of the socket that carries the requests. */
export const setPeer = (socket: object, peer: PeerIdentity): void => void peers.set(socket, peer);

/** Undefined: the connection is plain, or its client showed no certificate. */
export const peerOf = (socket: object | undefined): PeerIdentity | undefined =>
  socket === undefined ? undefined : peers.get(socket);

/** Of a mesh that does not say (Istio's). */
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

/** The namespace of a workload that does not say. */
export const DEFAULT_NAMESPACE = 'default';

/** The SPIFFE ID of our control plane. */
export const controlPlaneId = (trustDomain: string): string => workloadId(trustDomain, 'inmesh', 'control-plane');

/** The SPIFFE ID of a service's workloads, in Istio's form with the service's name for the account's: `spiffe://cluster.local/ns/default/sa/reviews`. */
export const workloadId = (trustDomain: string, namespace: string, service: string): string =>
  `spiffe://${trustDomain}/ns/${namespace}/sa/${service}`;
