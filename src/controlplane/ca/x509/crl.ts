import * as der from '../../../identity/der/write.js';
import { CRL, writePem } from '../../../identity/pem.js';
import type { Issuer } from './certificates.js';
import { authorityKeyId, extension, signed } from './sign.js';

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

const VERSION_2 = der.integer(1);
const REASON_CODE = der.oid('2.5.29.21');
const CRL_NUMBER = der.oid('2.5.29.20');

/** `crlEntryExtensions`. "SHOULD be absent instead of using the unspecified (0) reasonCode" - RFC 5280 5.3.1; an empty list of them is none (5.1: "SIZE (1..MAX)"). */
const EXTENSIONS = new Map<RevocationReason, readonly Buffer[]>(
  (Object.keys(REVOCATION_REASONS) as RevocationReason[]).map((reason) => [
    reason,
    reason === 'unspecified' ? [] : [der.sequence(extension(REASON_CODE, der.enumerated(REVOCATION_REASONS[reason])))],
  ]),
);

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
  const entries = list.entries.map(({ serial, at, reason }) =>
    der.sequence(der.integer(Buffer.from(serial, 'hex')), der.time(at), ...(EXTENSIONS.get(reason) ?? [])),
  );
  const extensions = der.sequence(authorityKeyId(issuer.keyId), extension(CRL_NUMBER, der.integer(list.number)));
  const made = await signed(
    (algorithm) =>
      der.sequence(
        VERSION_2,
        algorithm,
        issuer.name,
        der.time(list.thisUpdate),
        der.time(list.nextUpdate),
        // "this field MUST be absent" where there is none (5.1.2.6).
        ...(entries.length === 0 ? [] : [der.tlv(0x30, Buffer.concat(entries))]),
        der.explicit(0, extensions),
      ),
    issuer.key,
  );
  return writePem(CRL, made);
}
