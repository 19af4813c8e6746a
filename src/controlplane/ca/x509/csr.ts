import { createPublicKey, type KeyObject } from 'node:crypto';
import { DerReader, explicitTag, readWhole, TAG } from '../../../identity/der/read.js';
import { listExtensions } from '../../../identity/extensions.js';
import { type GeneralName, readGeneralNames } from '../../../identity/general-names.js';
import { isSignedBy } from '../../../identity/signature.js';
import { MAX_CSR_BYTES } from '../constants.js';
import { CaError } from '../errors.js';
import { checkKey } from './algorithms.js';

/** A certificate signing request whose signature has been checked: who made it has the key. */
export interface CheckedCsr {
  readonly pem: string;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly key: KeyObject;
  /** What it asks to be called. Wishes: attestation decides (never the CSR alone). */
  readonly uris: readonly string[];
  readonly dns: readonly string[];
  readonly ips: readonly string[];
}

const PEM =
  /^\s*-----BEGIN (NEW )?CERTIFICATE REQUEST-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1?CERTIFICATE REQUEST-----\s*$/;

const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';

/** Reads a PKCS#10 request (RFC 2986) in PEM. Throws a CaError for whatever else it is given. */
export function checkCsr(pem: string): CheckedCsr {
  if (pem.length > MAX_CSR_BYTES)
    throw new CaError('bad_request', `the CSR has ${pem.length} bytes: ${MAX_CSR_BYTES} at most are read`);
  const base64 = PEM.exec(pem)?.[2];
  if (base64 === undefined) throw new CaError('bad_request', 'this is no CSR in PEM (BEGIN CERTIFICATE REQUEST)');
  try {
    const csr = readRequest(Buffer.from(base64, 'base64'));
    const { publicKey, names } = csr;
    const key = createPublicKey({ key: publicKey, format: 'der', type: 'spki' });
    checkKey(key);
    if (!isSignedBy(csr, key))
      throw new CaError('bad_request', 'the CSR is not signed by the key that it is for (proof of possession)');
    const of = (type: GeneralName['type']): string[] =>
      names.filter((name) => name.type === type).map(({ value }) => value);
    return { pem, publicKey, key, uris: of('URI'), dns: of('DNS'), ips: of('IP_ADDRESS') };
  } catch (error) {
    if (error instanceof CaError) throw error;
    // The parser's words are of ASN.1 and quote what came in.
    throw new CaError('bad_request', 'the CSR cannot be read', undefined, { cause: error });
  }
}

/** `CertificationRequest` (RFC 2986 section 4). */
function readRequest(bytes: Buffer) {
  const outer = readWhole(bytes, TAG.sequence, 'CSR');
  const info = outer.value(TAG.sequence);
  const signatureAlgorithm = outer.value(TAG.sequence).whole;
  const signature = outer.bitString();
  outer.end();
  const body = new DerReader(info.content, 'CSR');
  if (body.smallInteger() !== 0) throw body.error('is of a version that does not exist');
  // Its subject. A workload is called what attestation says, in the alternative name.
  body.value(TAG.sequence);
  const publicKey = body.value(TAG.sequence).whole;
  const attributes = body.enterOptional(explicitTag(0));
  body.end();
  const names = attributes === undefined ? [] : requestedNames(attributes);
  return { signedPart: info.whole, signatureAlgorithm, signature, publicKey, names };
}

/** Of the first `extensionRequest` (RFC 2985 section 5.4.2), "single valued"; a second one is no more than a trick. */
function requestedNames(attributes: DerReader): readonly GeneralName[] {
  let names: readonly GeneralName[] | undefined;
  while (!attributes.empty) {
    const attribute = attributes.enter(TAG.sequence);
    const type = attribute.oid();
    const values = attribute.enter(TAG.set);
    attribute.end();
    if (type !== EXTENSION_REQUEST) continue;
    if (names !== undefined) throw attributes.error('asks for extensions twice');
    const found = listExtensions(values).find(({ oid }) => oid === SUBJECT_ALTERNATIVE_NAME);
    names = found === undefined ? [] : readGeneralNames(readWhole(found.value, TAG.sequence, 'CSR: subjectAltName'));
  }
  return names ?? [];
}
