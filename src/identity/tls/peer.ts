import type { PeerIdentity } from '../../core/identity.js';
import { type Certificate, fingerprint } from '../certificate.js';
import { distinguishedName } from '../distinguished-name.js';
import { spiffeIdOf } from '../spiffe-id.js';

/** Whose certificate it is. One with several URIs has no SPIFFE ID: "containing more than one URI SAN MUST reject the SVID" (X509-SVID section 2). */
export function peerIdentity(certificate: Certificate): PeerIdentity {
  const { names, serialNumber, notAfter, subject, der } = certificate;
  const uriSans = names.filter(({ type }) => type === 'URI').map(({ value }) => value);
  const id = uriSans.length === 1 ? spiffeIdOf(uriSans[0] as string) : undefined;
  return Object.freeze({
    spiffeId: id?.id,
    trustDomain: id?.trustDomain,
    uriSans: Object.freeze(uriSans),
    dnsSans: Object.freeze(names.filter(({ type }) => type === 'DNS').map(({ value }) => value)),
    subject: distinguishedName(subject, 'certificate'),
    serialNumber,
    fingerprint: fingerprint(der),
    notAfter,
  });
}
