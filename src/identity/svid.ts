import { createPrivateKey, createPublicKey, KeyObject } from 'node:crypto';
import { DecodeError } from '../core/decode.js';
import type { X509Identity } from '../core/identity.js';
import { type Certificate, publicKeyOf, readCertificates } from './certificate.js';
import { KEY_USAGE } from './extensions.js';
import { CERTIFICATE, writePem } from './pem.js';
import { parseSpiffeId, parseWorkloadId, type SpiffeId } from './spiffe-id.js';

/** A certificate that is no X509-SVID. The message names the rule that it breaks. */
export class SvidError extends Error {
  override readonly name = 'SvidError';
}

/** Whose the certificate is, by its one URI. Throws an SvidError where it is no SVID of a workload (X509-SVID section 5.2): its chain is not looked at. */
export function workloadOf(leaf: Certificate): SpiffeId {
  // "the validator MUST ensure that the `cA` field in the basic constraints extension is set to `false`"
  if (leaf.isCa) throw new SvidError('it is the certificate of a CA, which must not be used as an identity');
  // "and that `keyCertSign` and `cRLSign` are not set in the key usage extension"
  for (const usage of ['keyCertSign', 'cRLSign'] as const) {
    if (leaf.keyUsage?.has(KEY_USAGE[usage])) throw new SvidError(`its keyUsage has ${usage}, which is for CAs only`);
  }
  // "Leaf SVIDs MUST set `digitalSignature`" - section 4.3; without the extension a key may be used for anything (RFC 5280 section 4.2.1.3).
  if (leaf.keyUsage?.has(KEY_USAGE.digitalSignature) === false)
    throw new SvidError('its keyUsage lacks digitalSignature');
  return idOf(leaf, parseWorkloadId);
}

/** Of a CA's certificate, where it has one: "the SPIFFE ID of a signing certificate MUST NOT have a path component" - section 3.2. */
export function signerOf(ca: Certificate): SpiffeId | undefined {
  if (!ca.isCa) throw new SvidError('it is not the certificate of a CA');
  if (ca.keyUsage?.has(KEY_USAGE.keyCertSign) === false) throw new SvidError('its keyUsage lacks keyCertSign');
  if (uris(ca).length === 0) return undefined;
  const id = idOf(ca, parseSpiffeId);
  if (id.path !== '') throw new SvidError(`its SPIFFE ID "${id.id}" has a path, which is for workloads only`);
  return id;
}

const uris = ({ names }: Certificate): string[] => names.filter(({ type }) => type === 'URI').map(({ value }) => value);

function idOf(certificate: Certificate, parse: (value: unknown) => SpiffeId): SpiffeId {
  const [uri, ...more] = uris(certificate);
  if (uri === undefined) throw new SvidError('it has no URI among its names, and so no SPIFFE ID');
  // "Validators encountering an SVID containing more than one URI SAN MUST reject the SVID" - section 2
  if (more.length > 0) throw new SvidError(`it has ${more.length + 1} URIs among its names: an SVID has exactly one`);
  try {
    return parse(uri);
  } catch (error) {
    if (error instanceof DecodeError) throw new SvidError(`its SPIFFE ID ${error.problem}`);
    throw error;
  }
}

export interface IdentityParts {
  /** PEM, leaf first. */
  readonly certificates: string;
  /** PEM, not encrypted, or the key itself. */
  readonly privateKey: string | KeyObject;
  readonly hint?: string | undefined;
}

/**
 * A workload's own identity, checked once: certificate and key belong together, and a certificate with a SPIFFE ID is a whole SVID. Throws an Error whose
 * message says what is wrong and shows nothing of the key. Its validity in time is not looked at.
 */
export function readIdentity({ certificates, privateKey, hint }: IdentityParts): X509Identity {
  const chain = readCertificates(certificates);
  const [leaf] = chain;
  const key = readPrivateKey(privateKey);
  if (!createPublicKey(key).equals(publicKeyOf(leaf))) {
    throw new SvidError('the private key is not that of the certificate');
  }
  const [first, ...others] = chain.map(({ der }) => writePem(CERTIFICATE, der));
  return Object.freeze({
    spiffeId: uris(leaf).some((uri) => uri.startsWith('spiffe:')) ? workloadOf(leaf).id : undefined,
    certificates: [first as string, ...others] as const,
    privateKey: key,
    notBefore: leaf.notBefore,
    notAfter: leaf.notAfter,
    ...(hint === undefined ? {} : { hint }),
  });
}

function readPrivateKey(key: string | KeyObject): KeyObject {
  if (key instanceof KeyObject) return key;
  try {
    return createPrivateKey(key);
  } catch {
    // OpenSSL's own error stays behind: nothing of a key's text may get into a message.
    throw new SvidError('the private key cannot be read: PEM of an unencrypted PKCS#8, SEC 1 or PKCS#1 key is needed');
  }
}
