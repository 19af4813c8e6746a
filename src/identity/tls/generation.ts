import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Trust, X509Identity } from '../../core/identity.js';
import type { RevocationList } from '../crl.js';
import { Verifier } from './verifier.js';

/** "TLS 1.2 or later": RFC 9325 section 3.1.1. */
const MIN_VERSION = 'TLSv1.2';
/** Whose sessions a server takes up again: its own. OpenSSL wants a name where clients show certificates. */
const SESSION_CONTEXT = 'inmesh';

/** What one's own certificate and trust come to, as TLS needs them, from one change to the next. */
export interface Parts {
  /** Undefined: no certificate is shown. */
  readonly identity: X509Identity | undefined;
  /** Undefined: nobody is verified. `system`: the roots that Node brings or was given. */
  readonly trust: Trust | 'system' | undefined;
  readonly crls: readonly string[];
}

/**
 * One state of identity and trust. A session, or a ticket for one, is good for as long as this is: its keys are those of this secure context, which no other has.
 */
export class Generation {
  /** Undefined: nobody is verified, or it is left to OpenSSL, with the system's roots. */
  readonly verifier: Verifier | undefined;
  readonly context: SecureContext;

  /** Throws where the parts are no certificates, or the key is not that of the certificate. `lists`: what `crls` of the parts came to. */
  constructor(
    readonly parts: Parts,
    lists: readonly RevocationList[],
    times: () => readonly number[],
    unsigned?: (list: RevocationList) => void,
    endedFrom?: () => number,
  ) {
    const { identity, trust } = parts;
    this.verifier = typeof trust === 'object' ? new Verifier(trust, lists, times, unsigned, endedFrom) : undefined;
    this.context = createSecureContext({
      minVersion: MIN_VERSION,
      sessionIdContext: SESSION_CONTEXT,
      ...(identity && {
        cert: identity.certificates.join('\n'),
        key: identity.privateKey.export({ type: 'pkcs8', format: 'pem' }),
      }),
      ...(trust !== 'system' && trusting(trust)),
    });
  }

  /** New connections, and only those, are better than those made before when this is another. */
  sameCertificateAndTrust(other: Generation): boolean {
    const [a, b] = [this.parts, other.parts];
    return sameIdentity(a.identity, b.identity) && sameTrust(a.trust, b.trust);
  }

  same(parts: Parts): boolean {
    const { identity, trust, crls } = this.parts;
    return sameIdentity(identity, parts.identity) && sameTrust(trust, parts.trust) && sameTexts(crls, parts.crls);
  }
}

/** An empty list is one: without it the system's are believed. Trust may be in an intermediate CA (SPIFFE bundles; Envoy's trusted_ca); Node 20.18, 22.9. */
const trusting = (trust: Trust | undefined): SecureContextOptions =>
  ({ ca: trust === undefined ? [] : rootsOf(trust), allowPartialTrustChain: true }) as SecureContextOptions;

/** For OpenSSL all trust domains together: which of them answers for whom is looked at after it. */
const rootsOf = (trust: Trust): string[] =>
  trust.kind === 'roots' ? [...trust.certificates] : [...new Set([...trust.bundles.values()].flat())];

const sameIdentity = (a: X509Identity | undefined, b: X509Identity | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && sameTexts(a.certificates, b.certificates));

function sameTrust(a: Parts['trust'], b: Parts['trust']): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object') return false;
  if (a.kind === 'roots' || b.kind === 'roots')
    return a.kind === 'roots' && b.kind === 'roots' && sameTexts(a.certificates, b.certificates);
  const theirs = b.bundles;
  return (
    a.bundles.size === theirs.size && [...a.bundles].every(([domain, pems]) => sameTexts(pems, theirs.get(domain)))
  );
}

const sameTexts = (a: readonly string[], b: readonly string[] | undefined): boolean =>
  a === b || (a.length === b?.length && a.every((text, i) => text === b[i]));
