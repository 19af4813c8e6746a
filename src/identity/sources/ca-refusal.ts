import { IdentityError } from '../../core/errors.js';
import { RpcError } from '../rpc/connection.js';

/** google.rpc.Code of a CA that has looked at what it was asked and shown, and says no: INVALID_ARGUMENT, PERMISSION_DENIED, UNAUTHENTICATED. To be away, or busy, is no answer. */
const REFUSED: ReadonlySet<number> = new Set([3, 7, 16]);
/** Of these, those that another token mends. */
const TOKEN_HELPS: ReadonlySet<number> = new Set([7, 16]);

/** Nothing that is at hand can be shown to the CA: it was not asked. The message says what to set. */
export class NothingToShow extends Error {}

/** What is known of the workload that could not get a certificate. */
export interface Applicant {
  /** Name of the source. */
  readonly source: string;
  readonly spiffeId: string;
  /** It is our CA that is asked, and the token that was shown last is one of its join tokens, or there was none. */
  readonly joins: boolean;
  /** Serial number of the certificate that it has, where that was revoked. */
  readonly revoked: string | undefined;
}

/** Why there is no certificate, in words that say whose turn it is: the CA's, or that of somebody who reads this. */
export function caTrouble(cause: unknown, { source, spiffeId, joins, revoked }: Applicant): IdentityError {
  const { message } = cause as Error;
  const code = cause instanceof RpcError ? cause.code : undefined;
  const answered = code !== undefined && REFUSED.has(code);
  const remedy = joins ? `; ${joinAnew(spiffeId)}` : '';
  if (revoked !== undefined) {
    const detail = answered ? (cause as RpcError).details : message;
    const problem = `the certificate of this workload (serial number ${revoked}) was revoked, and is not renewed`;
    return new IdentityError(`${source}: ${problem} (${detail})${remedy}`, { cause, reason: 'revoked' });
  }
  if (answered) {
    const mend = TOKEN_HELPS.has(code) ? remedy : '';
    return new IdentityError(`${source} refused: ${(cause as RpcError).details}${mend}`, { cause, reason: 'refused' });
  }
  const reason = cause instanceof NothingToShow ? 'refused' : 'unavailable';
  return new IdentityError(`${source}: ${message}`, { cause, reason });
}

/** The text of an error in which a certificate is found on a revocation list. */
export const REVOKED = 'it is on the revocation list of the CA';

const joinAnew = (spiffeId: string): string =>
  `make a new join token where the authority is (inmesh ca token create ${spiffeId}), and give it to this workload: in the file of INMESH_JOIN_TOKEN_FILE, which is ` +
  'read at each attempt, or at its next start';

/** What to set, by every way there is, as nobody knows here which one was meant. */
export function noToken(spiffeId: string, joins: boolean): string {
  const make = joins ? `make one where the authority is (inmesh ca token create ${spiffeId}), and ` : '';
  const set = 'set INMESH_JOIN_TOKEN or INMESH_JOIN_TOKEN_FILE, or identity.ca.joinToken of meshClient';
  return `there is no token to show, and no identity yet: ${make}${set}`;
}
