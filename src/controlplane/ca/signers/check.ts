import { createPublicKey, X509Certificate } from 'node:crypto';
import { shown } from '../../../core/decode.js';
import { readCertificate } from '../../../identity/certificate.js';
import { MAX_BACKDATE_MS } from '../constants.js';
import { CaError } from '../errors.js';
import type { SigningRequest } from '../signer.js';
import { isIssuedBy } from '../x509/chain.js';

interface Against {
  readonly roots: readonly string[];
  readonly name: string;
  readonly now: number;
}

/** Certificates of a chain, at most. */
const MAX_CHAIN = 8;

/** Holds what somebody else has signed to what was asked for: a signer is not to hand out other identities than attestation did. Throws a CaError. */
export function checkSigned(
  certificates: readonly string[],
  request: SigningRequest,
  { roots, name, now }: Against,
): void {
  const refuse = (what: string): never => {
    throw new CaError('unavailable', `${name} gave a certificate that was not asked for: ${what}`);
  };
  if (certificates.length === 0 || certificates.length > MAX_CHAIN) refuse(`a chain of ${certificates.length}`);
  const chain = certificates.map((pem) => parsed(pem) ?? refuse('it cannot be read'));
  const leaf = chain[0] as X509Certificate;
  const key = createPublicKey({ key: Buffer.from(request.publicKey), format: 'der', type: 'spki' });
  if (!leaf.publicKey.equals(key)) refuse('it is for another key');
  if (leaf.ca) refuse('it is an authority’s');
  const names = readCertificate(leaf.raw).names.map(({ type, value }) => `${type}:${value}`);
  const wanted = [
    `URI:${request.spiffeId}`,
    ...request.dns.map((dns) => `DNS:${dns}`),
    ...request.ips.map((ip) => `IP_ADDRESS:${ip}`),
  ];
  if (names.length !== wanted.length || !wanted.every((one) => names.includes(one)))
    refuse(`its names are ${shown(names)}`);
  if (!leaf.keyUsage?.includes('1.3.6.1.5.5.7.3.1') || !leaf.keyUsage.includes('1.3.6.1.5.5.7.3.2'))
    refuse('it is not for both servers and clients (extended key usage)');
  const [from, to] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
  if (from > now || from < request.notBefore - MAX_BACKDATE_MS) refuse(`it begins ${leaf.validFrom}`);
  if (to <= now || to > request.notAfter + 1_000) refuse(`it ends ${leaf.validTo}`);
  for (const [i, certificate] of chain.entries()) {
    const above = chain[i + 1];
    const issuers = above === undefined ? roots.map((pem) => new X509Certificate(pem)) : [above];
    if (!issuers.some((issuer) => isIssuedBy(certificate, issuer)))
      refuse(above === undefined ? 'its chain does not end in one of the roots' : 'its chain does not hold together');
  }
}

function parsed(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}
