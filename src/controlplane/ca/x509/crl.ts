import { CRL, writePem } from '../../../identity/pem.js';
import type { Issuer } from './certificates.js';
import { x509Library } from './library.js';

/** RFC 5280 5.3.1, as `openssl ca -crl_reason` names them. */
export const REVOCATION_REASONS = {
  unspecified: 0,
  keyCompromise: 1,
  CACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;
export type RevocationReason = keyof typeof REVOCATION_REASONS;

export interface CrlEntry {
  readonly serial: string;
  readonly at: number;
  readonly reason: RevocationReason;
}

/**
 * RFC 5280 5.3.1: no reason is said by leaving it out. The library leaves an empty list of extensions then, which is no DER of a list (5.1: "SIZE (1..MAX)"), and
 * Envoy refuses it: so the reason is said.
 */
const REASON_CODE = '2.5.29.21';
/** ENUMERATED. */
const UNSPECIFIED = Uint8Array.of(0x0a, 1, 0);

/** A revocation list (RFC 5280 section 5) with its number and the issuer's key identifier, both of which 5.2 demands. PEM. */
export async function revocationList(
  issuer: Issuer,
  list: {
    readonly number: number;
    readonly thisUpdate: number;
    readonly nextUpdate: number;
    readonly entries: readonly CrlEntry[];
  },
): Promise<string> {
  const x509 = await x509Library();
  const made = await x509.X509CrlGenerator.create({
    issuer: issuer.name,
    thisUpdate: new Date(list.thisUpdate),
    nextUpdate: new Date(list.nextUpdate),
    entries: list.entries.map(({ serial, at, reason }) => ({
      serialNumber: serial,
      revocationDate: new Date(at),
      ...(reason === 'unspecified'
        ? { extensions: [new x509.Extension(REASON_CODE, false, UNSPECIFIED)] }
        : { reason: REVOCATION_REASONS[reason] as number }),
    })),
    extensions: [
      new x509.AuthorityKeyIdentifierExtension(issuer.keyId),
      new x509.Extension('2.5.29.20', false, derInteger(list.number)),
    ],
    signingKey: issuer.key.cryptoKey,
    signingAlgorithm: issuer.key.algorithm,
  });
  return writePem(CRL, new Uint8Array(made.rawData));
}

/** DER of a whole number from 0. */
function derInteger(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let left = value; left > 0 || bytes.length === 0; left = Math.floor(left / 256)) bytes.unshift(left % 256);
  // The first bit is the sign.
  if ((bytes[0] as number) > 127) bytes.unshift(0);
  return Uint8Array.of(2, bytes.length, ...bytes);
}
