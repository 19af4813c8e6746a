import type { PeerIdentity } from '../../../core/identity.js';
import type { Turn } from '../store/folder.js';

/** What somebody who asks for a certificate shows of himself. */
export interface Evidence {
  /** Bearer token of the request. */
  readonly token: string | undefined;
  /** Verified certificate of the connection, of this authority and not revoked. */
  readonly peer: PeerIdentity | undefined;
}

/** Who somebody has shown to be. */
export interface Attested {
  /** For records, and for taking turns: `mtls`, `token 3f2a…`. */
  readonly by: string;
  /** The identity, where it follows from the evidence. Undefined: the CSR has to name one that is allowed. */
  readonly spiffeId: string | undefined;
  allows(spiffeId: string): boolean;
  /** Asked before anything is signed. Rejects where this key may not have it: a token that was used is good for the same key alone. Absent: any key may. */
  readonly checkKey?: (spiffeId: string, publicKey: Uint8Array) => Promise<void>;
  /** Takes place together with the certificate, or not at all: a token is used up. Rejecting withholds the certificate. `publicKey`: SubjectPublicKeyInfo, DER. */
  readonly meanwhile?: (turn: Turn, spiffeId: string, publicKey: Uint8Array) => Promise<void>;
}

/** Decides who somebody is. An application may bring its own: cloud instance documents, hardware keys. */
export interface Attestor {
  readonly name: string;
  /**
   * What it looks at cannot be guessed, and a look costs about as much as the request itself: it is asked for an address that was refused often as well. Default: it is
   * not, for a minute after ten refusals (`guesses.ts`).
   */
  readonly unguessable?: boolean;
  /**
   * Undefined: this evidence is of another kind. Rejects with a CaError (`unauthenticated`, `forbidden`) where it is of this kind and will not do; nobody else is asked then.
   * Whatever else it rejects with, and no answer within `ATTEST_MS`, is trouble of its own: the others are asked.
   */
  attest(evidence: Evidence): Promise<Attested | undefined>;
}
