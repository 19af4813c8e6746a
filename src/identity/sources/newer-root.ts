import type { Clock } from '../../core/clock.js';
import type { X509Identity } from '../../core/identity.js';
import type { Random } from '../../core/random.js';
import { fingerprint, readCertificates } from '../certificate.js';

/** Renewals under a new root are spread over so long, in milliseconds; of short-lived certificates over a twentieth of their life. */
export const NEW_ROOT_SPREAD_MS = 300_000;

/**
 * Whether a CA that one's certificate is of has a root that is newer than the certificate's own: then it is replacing it, and what is under the old one is to be renewed in
 * time, and not only at half of its life. Nobody says when the new one begins to sign: it is asked after each piece of news, of which its first list of revocations is one.
 */
export class NewerRoot {
  #cancel: (() => void) | undefined;

  constructor(
    private readonly env: { readonly clock: Clock; readonly random: Random },
    private readonly renew: () => void,
  ) {}

  /** There is news of the CA. `own`: PEM of the root that `identity` is under; `roots`: PEM of all that are trusted. */
  heard(own: string | undefined, roots: readonly string[], identity: X509Identity | undefined): void {
    if (own === undefined || identity === undefined || !hasNewer(own, roots)) return this.close();
    const spread = Math.min(NEW_ROOT_SPREAD_MS, (identity.notAfter - identity.notBefore) / 20);
    this.close();
    this.#cancel = this.env.clock.after(Math.ceil(this.env.random.next() * spread), this.renew, { background: true });
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

function hasNewer(own: string, roots: readonly string[]): boolean {
  const all = roots.flatMap((pem) => readCertificates(pem));
  const print = fingerprint(readCertificates(own)[0].der);
  // What a certificate has that is not among those that are trusted says nothing of them.
  const mine = all.find(({ der }) => fingerprint(der) === print);
  return mine !== undefined && all.some(({ notBefore }) => notBefore > mine.notBefore);
}
