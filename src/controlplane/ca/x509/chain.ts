import { X509Certificate } from 'node:crypto';
import { CERTIFICATE, readPem, writePem } from '../../../identity/pem.js';

/** Certificates of a PEM text, each one by itself and written alike. Throws a PemError. */
export const certificatesOf = (text: string): string[] =>
  readPem(text, CERTIFICATE).map((der) => writePem(CERTIFICATE, der));

/** The same of what somebody else has sent; none where it cannot be read. */
export function certificatesIn(text: string): string[] {
  try {
    return certificatesOf(text);
  } catch {
    return [];
  }
}

/** Whether each certificate of a chain was signed by the next, and the last by one of the roots, or is one. PEM. */
export function holdsTogether(chain: readonly string[], roots: readonly string[]): boolean {
  const parsed = chain.map((pem) => new X509Certificate(pem));
  const anchors = roots.map((pem) => new X509Certificate(pem));
  return parsed.every((certificate, i) => {
    const above = parsed[i + 1];
    if (above === undefined && anchors.some(({ raw }) => raw.equals(certificate.raw))) return true;
    return (above === undefined ? anchors : [above]).some((issuer) => isIssuedBy(certificate, issuer));
  });
}

export const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
