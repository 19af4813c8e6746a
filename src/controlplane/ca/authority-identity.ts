import { createPublicKey } from 'node:crypto';
import type { Clock } from '../../core/clock.js';
import { IdentityError } from '../../core/errors.js';
import type { IdentitySource, X509Identity } from '../../core/identity.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import { certificateRequest } from '../../identity/csr.js';
import { Renewal } from '../../identity/renewal.js';
import { sourceOf, Watchers } from '../../identity/watchers.js';
import type { CertificateAuthority } from './authority.js';
import { DEFAULT_ALGORITHM, type KeyAlgorithm, newKey } from './x509/algorithms.js';

export interface AuthorityIdentityOptions {
  readonly spiffeId: string;
  readonly dns?: readonly string[];
  readonly ips?: readonly string[];
  readonly algorithm?: KeyAlgorithm;
  /** Default: the authority's. */
  readonly lifetimeMs?: number | undefined;
  /** The root follows the chain in the handshake: whoever joins knows the authority by its hash. Default: it does not. */
  readonly withRoot?: boolean;
  /** How it was attested, for the records. */
  readonly by: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface Own {
  readonly identity: X509Identity;
  readonly serial: string;
  readonly issuer: string;
}

/**
 * An identity that whoever holds the authority gives to itself: its own key, never written down, under the authority's signature. Trust and lists are the
 * authority's, at once when they change; a certificate that was revoked, or whose signer or root is going, is replaced at once as well.
 */
export function authorityIdentity(authority: CertificateAuthority, options: AuthorityIdentityOptions): IdentitySource {
  const { clock, random, logger, spiffeId, dns, ips, lifetimeMs, by } = options;
  const { algorithm = DEFAULT_ALGORITHM, withRoot = false } = options;
  const watchers = new Watchers(`ca ${authority.directory}`);
  /** Of the certificate that was issued last; it may not be the one that is told of yet. */
  let own: Own | undefined;
  let identity: X509Identity | undefined;

  async function issue(): Promise<X509Identity> {
    const privateKey = await newKey(algorithm);
    const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    const issued = await authority.issue({
      spiffeId,
      publicKey,
      // A signer of somebody else's wants one.
      csr: certificateRequest(privateKey, { spiffeId, ...(dns && { dns }) }),
      lifetimeMs,
      by,
      ...(dns && { dns }),
      ...(ips && { ips }),
    });
    const { certificates, notBefore, notAfter, serial, issuer } = issued;
    const root = withRoot ? authority.signingRoot : undefined;
    const chain: [string, ...string[]] = root === undefined ? [...certificates] : [...certificates, root];
    const made: X509Identity = { spiffeId, certificates: chain, privateKey, notBefore, notAfter };
    own = { identity: made, serial, issuer };
    return made;
  }

  function publish(): void {
    if (identity !== undefined) watchers.changed({ identity, trust: authority.trust, crls: authority.news.crls });
  }

  const renewal = new Renewal({
    clock,
    random,
    renew: issue,
    renewed(made) {
      identity = made;
      publish();
    },
    failed(error) {
      logger.warn('no certificate could be issued', { spiffeId, error: String(error) });
      watchers.failed(new IdentityError(`${watchers.name}: ${(error as Error).message}`, { cause: error }));
    },
  });
  const unwatch = authority.watch(() => {
    publish();
    if (own === undefined || own.identity !== identity) return;
    const { issuer, serial } = own;
    const signed = issuer === 'signer' || authority.state.intermediates.some(({ id }) => id === issuer);
    // The control plane's own is renewed in its time: join tokens that were made before name the root that it shows.
    const isRetired = !withRoot && signed && issuer !== 'signer' && !authority.signsUnderRootOf(issuer);
    if (!signed || isRetired || authority.isRevoked(serial)) renewal.now();
  });
  renewal.start();
  return sourceOf(watchers, () => {
    unwatch();
    renewal.close();
  });
}
