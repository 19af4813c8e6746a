import { createPublicKey, type KeyObject } from 'node:crypto';
import type { SubjectAlternativeNameExtension } from '@peculiar/x509';
import { MAX_CSR_BYTES } from '../constants.js';
import { CaError } from '../errors.js';
import { checkKey } from './algorithms.js';
import { x509Library } from './library.js';

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

/** Reads a PKCS#10 request (RFC 2986) in PEM. Rejects with a CaError for whatever else it is given. */
export async function checkCsr(pem: string): Promise<CheckedCsr> {
  if (pem.length > MAX_CSR_BYTES)
    throw new CaError('bad_request', `the CSR has ${pem.length} bytes: ${MAX_CSR_BYTES} at most are read`);
  const base64 = PEM.exec(pem)?.[2];
  if (base64 === undefined) throw new CaError('bad_request', 'this is no CSR in PEM (BEGIN CERTIFICATE REQUEST)');
  const x509 = await x509Library();
  try {
    const csr = new x509.Pkcs10CertificateRequest(Buffer.from(base64, 'base64'));
    const publicKey = new Uint8Array(csr.publicKey.rawData);
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    checkKey(key);
    if (!(await csr.verify()))
      throw new CaError('bad_request', 'the CSR is not signed by the key that it is for (proof of possession)');
    const alternative = csr.getExtension('2.5.29.17') as SubjectAlternativeNameExtension | null;
    const names = alternative?.names.items ?? [];
    const of = (type: string): string[] => names.filter((name) => name.type === type).map(({ value }) => value);
    return { pem, publicKey, key, uris: of('url'), dns: of('dns'), ips: of('ip') };
  } catch (error) {
    if (error instanceof CaError) throw error;
    // The parser's words are of ASN.1 and quote what came in.
    throw new CaError('bad_request', 'the CSR cannot be read', undefined, { cause: error });
  }
}
