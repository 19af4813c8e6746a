import { MAX_REVOKED } from './constants.js';
import { CaError } from './errors.js';
import type { Signer } from './signer.js';
import type { IssuedRecord } from './store/issued.js';
import type { CaState, Revoked } from './store/state.js';
import type { RevocationReason } from './x509/crl.js';

/** What a revocation is of: all that have that name and have not ended, and of these what was not revoked before. */
export interface Named {
  readonly all: readonly string[];
  readonly added: readonly Revoked[];
}

/** `what`: a serial number, a fingerprint (SHA-256) or a SPIFFE ID. Throws a CaError where there is none of that name, or where there are too many. */
export async function namedBy(
  what: string,
  reason: RevocationReason,
  state: CaState,
  records: AsyncIterable<IssuedRecord>,
  now: number,
): Promise<Named> {
  const wanted = what.startsWith('spiffe://') ? what : what.replaceAll(':', '').toLowerCase();
  const known = new Set(state.revoked.map(({ serial }) => serial));
  const all: string[] = [];
  const added: Revoked[] = [];
  for await (const { serial, spiffeId, fingerprint, issuer, notAfter } of records) {
    if (wanted !== serial && wanted !== fingerprint && wanted !== spiffeId) continue;
    all.push(serial);
    if (!known.has(serial)) added.push({ serial, spiffeId, fingerprint, issuer, notAfter, at: now, reason });
  }
  if (all.length === 0) throw new CaError('not_found', `no certificate that has not ended is called ${what}`);
  if (state.revoked.length + added.length > MAX_REVOKED)
    throw new CaError('too_many', `more than ${MAX_REVOKED} revocations at a time: rotate the root instead`);
  return { all, added };
}

/** How a revocation is told to who signs in the authority's place. Throws where he keeps no list: it would look done, and nobody would heed it. */
export function tellerOf(signer: Signer): (serial: string, reason: RevocationReason) => Promise<void> {
  if (signer.revoke === undefined || signer.crls === undefined)
    throw new CaError(
      'state',
      `${signer.name} keeps no revocation list that can be had here: revoke where it signs, or replace its root`,
    );
  return (serial, reason) => signer.revoke?.(serial, reason) ?? Promise.resolve();
}
