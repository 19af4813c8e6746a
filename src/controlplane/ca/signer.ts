import type { RevocationReason } from './x509/crl.js';

/** What a signer is to certify. All of it has been decided: it adds nothing and leaves nothing out, or what it gives back is refused. */
export interface SigningRequest {
  readonly spiffeId: string;
  readonly dns: readonly string[];
  readonly ips: readonly string[];
  /** PKCS#10 in PEM, signed by the key that the certificate is for. Absent: made for a key whose owner is the authority itself. */
  readonly csr: string | undefined;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Wall-clock milliseconds. A signer may begin earlier, by an hour at most, and end earlier. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Who signs in place of the authority's own keys: Vault, a process with a hardware key, a company's PKI. The authority still attests, paces and records. */
export interface Signer {
  /** For errors, logs and records: `vault https://vault:8200`. */
  readonly name: string;
  /** Rejects where it cannot: with a CaError of `unavailable` where it may be asked again. PEM, leaf first, up to and without the root. */
  sign(request: SigningRequest): Promise<readonly [string, ...string[]]>;
  /** Roots that its chains end in, PEM; asked at the start and every hour. */
  roots(): Promise<readonly string[]>;
  /** Tells whoever keeps its revocation list; again, perhaps, of one that it was told of before. Absent, or without `crls`: what it signed cannot be revoked here. */
  revoke?(serial: string, reason: RevocationReason): Promise<void>;
  /** Its revocation lists, PEM. */
  crls?(): Promise<readonly string[]>;
  /** Ends what is under way. Safe to call twice. */
  close(): Promise<void>;
}
