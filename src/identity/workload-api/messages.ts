/** One identity of a workload: `X509SVID` of the SPIFFE Workload API. Bytes are DER. */
export interface X509SvidEntry {
  readonly spiffeId: string;
  /** Leaf first, one certificate after the other. */
  readonly chain: Uint8Array;
  /** PKCS#8, not encrypted. */
  readonly key: Uint8Array;
  /** Roots of the identity's own trust domain, one after the other. */
  readonly bundle: Uint8Array;
  /** Which of several it is; '': none. */
  readonly hint: string;
}

export interface X509SvidResponse {
  readonly svids: readonly X509SvidEntry[];
  readonly crls: readonly Uint8Array[];
  /** Roots of other trust domains, by SPIFFE ID of the trust domain. */
  readonly federatedBundles: ReadonlyMap<string, Uint8Array>;
}

export interface X509BundlesResponse {
  readonly crls: readonly Uint8Array[];
  /** By SPIFFE ID of the trust domain. */
  readonly bundles: ReadonlyMap<string, Uint8Array>;
}

export interface JwtSvidEntry {
  readonly spiffeId: string;
  /** JWS compact serialization. */
  readonly token: string;
  readonly hint: string;
}

export interface ValidatedJwt {
  readonly spiffeId: string;
  readonly claims: Readonly<Record<string, unknown>>;
}
