import { type KeyObject, X509Certificate } from 'node:crypto';
import { TlsPeerError, type TlsRefusal } from '../../core/tls.js';
import { type Certificate, isSelfIssued } from '../certificate.js';
import { EXTENDED_USAGE, KEY_USAGE } from '../extensions.js';
import { isSignedBy } from '../signature.js';
import { outsideOf } from './name-constraints.js';

/** A certificate, and the key in it, taken out once. */
export interface Link {
  readonly certificate: Certificate;
  readonly x509: X509Certificate;
  readonly key: KeyObject;
}

export function linkOf(certificate: Certificate): Link {
  const x509 = new X509Certificate(certificate.der);
  return { certificate, x509, key: x509.publicKey };
}

export interface PathRules {
  /** What the leaf is used as. */
  readonly role: 'server' | 'client';
  /** OpenSSL has not vouched for anything but what is checked here: only what is known whole will do. */
  readonly alone: boolean;
  /** Why a certificate is not valid in time. */
  invalidity(certificate: Certificate): TlsRefusal | undefined;
  /** Intermediates at most; undefined: `MAX_INTERMEDIATES`. */
  readonly maxDepth?: number | undefined;
}

/** Below a root; more are made to be slow. OpenSSL's own bound is 100. */
const MAX_INTERMEDIATES = 8;
/** Signatures that are verified for one peer at most. */
const MAX_SIGNATURES = 64;
/** "RSA keys shorter than 2048 bits" are not believed (SP 800-131A), as by OpenSSL at its security level 2. */
const MIN_RSA_BITS = 2048;

/**
 * The certificates from a leaf up to one of the anchors (RFC 5280 section 6.1), leaf first, anchor last. Throws a TlsPeerError with the reason of the path that
 * came farthest where there is none that will do.
 */
export function findPath(
  leaf: Link,
  intermediates: readonly Link[],
  anchors: readonly Link[],
  rules: PathRules,
): readonly Link[] {
  return new Search(intermediates, anchors, rules).from(leaf);
}

class Search {
  #signatures = 0;
  #problem: TlsPeerError | undefined;

  constructor(
    private readonly intermediates: readonly Link[],
    private readonly anchors: readonly Link[],
    private readonly rules: PathRules,
  ) {}

  from(leaf: Link): readonly Link[] {
    const usage = leafProblem(leaf.certificate, this.rules);
    if (usage !== undefined) throw usage;
    const found = this.#extend([leaf]);
    if (found !== undefined) return found;
    throw this.#problem ?? this.#nobody(leaf);
  }

  #extend(path: readonly Link[]): readonly Link[] | undefined {
    const last = path.at(-1) as Link;
    for (const anchor of this.anchors) {
      const whole = anchor.certificate.der.equals(last.certificate.der) ? path : [...path, anchor];
      if (whole !== path && !this.#signed(last, anchor)) continue;
      const problem = pathProblem(whole, this.rules);
      if (problem === undefined) return whole;
      this.#problem ??= problem;
    }
    if (path.length > MAX_INTERMEDIATES) return undefined;
    for (const next of this.intermediates) {
      if (path.includes(next) || !this.#signed(last, next)) continue;
      const found = this.#extend([...path, next]);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #signed(below: Link, above: Link): boolean {
    const { certificate } = below;
    if (!certificate.issuer.equals(above.certificate.subject)) return false;
    const [wanted, has] = [certificate.authorityKeyId, above.certificate.subjectKeyId];
    if (wanted !== undefined && has !== undefined && !wanted.equals(has)) return false;
    if (++this.#signatures > MAX_SIGNATURES) return false;
    return isSignedBy(certificate, above.key) || (!this.rules.alone && below.x509.verify(above.key));
  }

  #nobody({ certificate, x509, key }: Link): TlsPeerError {
    const problem = this.rules.invalidity(certificate);
    if (isSelfIssued(certificate) && x509.verify(key)) return new TlsPeerError('self_signed', 'it vouches for itself');
    // Of one that nobody vouches for, its time says more: it is what is left when a root has gone out of use.
    if (problem === 'expired') return timeProblem(certificate, problem);
    return new TlsPeerError('untrusted', 'nobody that is trusted vouches for it');
  }
}

function leafProblem(leaf: Certificate, { role, alone }: PathRules): TlsPeerError | undefined {
  if (!mayServeAs(leaf, role)) {
    return new TlsPeerError(
      'wrong_usage',
      `its extKeyUsage does not have ${role === 'server' ? 'serverAuth' : 'clientAuth'}`,
    );
  }
  if (alone && leaf.keyUsage?.has(KEY_USAGE.digitalSignature) === false)
    return new TlsPeerError('wrong_usage', 'its keyUsage lacks digitalSignature');
  return undefined;
}

/** A CA with the extension allows those below it no more than it has, as OpenSSL and others read it. */
function mayServeAs({ extendedKeyUsage }: Certificate, role: 'server' | 'client'): boolean {
  if (extendedKeyUsage === undefined) return true;
  return extendedKeyUsage.includes(EXTENDED_USAGE[role]) || extendedKeyUsage.includes(EXTENDED_USAGE.any);
}

/** What is wrong with a path whose names and signatures fit. */
function pathProblem(path: readonly Link[], rules: PathRules): TlsPeerError | undefined {
  if (path.length - 2 > (rules.maxDepth ?? MAX_INTERMEDIATES))
    return new TlsPeerError('untrusted', 'its chain is too long');
  for (const [depth, { certificate, key }] of path.entries()) {
    const below = path.slice(0, depth).map((link) => link.certificate);
    const problem =
      (depth === 0 ? undefined : signerProblem(certificate, below, rules)) ??
      constraintProblem(certificate, below, rules) ??
      (rules.alone ? unknownProblem(certificate, key) : undefined);
    if (problem !== undefined) return problem;
  }
  for (const { certificate } of path) {
    const problem = rules.invalidity(certificate);
    if (problem !== undefined) return timeProblem(certificate, problem);
  }
  return undefined;
}

function signerProblem(
  signer: Certificate,
  below: readonly Certificate[],
  { role }: PathRules,
): TlsPeerError | undefined {
  if (!signer.isCa) return new TlsPeerError('untrusted', 'it is signed by a certificate that is not of a CA');
  if (signer.keyUsage?.has(KEY_USAGE.keyCertSign) === false)
    return new TlsPeerError('untrusted', 'it is signed by a CA whose keyUsage lacks keyCertSign');
  if (!mayServeAs(signer, role)) return new TlsPeerError('wrong_usage', 'a CA above it may not sign for that usage');
  // "the maximum number of non-self-issued intermediate certificates that may follow this certificate"
  const intermediates = below.slice(1).filter((certificate) => !isSelfIssued(certificate)).length;
  if (signer.pathLength !== undefined && intermediates > signer.pathLength)
    return new TlsPeerError('untrusted', 'a CA above it allows fewer CAs below itself (pathLenConstraint)');
  return undefined;
}

function constraintProblem(
  { nameConstraints }: Certificate,
  below: readonly Certificate[],
  { alone }: PathRules,
): TlsPeerError | undefined {
  if (nameConstraints === undefined) return undefined;
  if (alone && nameConstraints.others)
    return new TlsPeerError('name_constraint', 'a CA above it has name constraints of a kind that is not supported');
  for (const [depth, certificate] of below.entries()) {
    if (depth > 0 && isSelfIssued(certificate)) continue;
    const outside = outsideOf(nameConstraints, certificate.names);
    if (outside === undefined) continue;
    const name = `${outside.type} "${outside.value.slice(0, 200)}"`;
    return new TlsPeerError('name_constraint', `a CA above it may not sign for ${name} (nameConstraints)`);
  }
  return undefined;
}

function unknownProblem({ unknownCritical }: Certificate, key: KeyObject): TlsPeerError | undefined {
  if (unknownCritical.length > 0)
    return new TlsPeerError('untrusted', `critical extension ${unknownCritical[0]} is not supported`);
  if (key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_RSA_BITS)
    return new TlsPeerError('untrusted', `its key, or that of a CA above it, has fewer than ${MIN_RSA_BITS} bits`);
  return undefined;
}

function timeProblem({ notBefore, notAfter, isCa }: Certificate, reason: TlsRefusal): TlsPeerError {
  const whose = isCa ? 'the certificate of a CA above it' : 'it';
  const detail =
    reason === 'expired'
      ? `${whose} has expired at ${new Date(notAfter).toISOString()}`
      : `${whose} is not valid before ${new Date(notBefore).toISOString()}`;
  return new TlsPeerError(reason, detail);
}
