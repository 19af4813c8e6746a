import type { TLSSocket } from 'node:tls';
import type { TlsRefusal } from '../../core/tls.js';

/** What OpenSSL found wrong with a peer's certificate. */
export interface OpensslVerdict {
  /** `CERT_HAS_EXPIRED`; `UNSPECIFIED` for what Node has no name for. */
  readonly code: string;
  readonly message: string;
  readonly reason: TlsRefusal;
}

/** By Node's names for OpenSSL's `X509_V_ERR_*`. */
const REASONS: Readonly<Record<string, TlsRefusal>> = {
  CERT_NOT_YET_VALID: 'not_yet_valid',
  CERT_HAS_EXPIRED: 'expired',
  CERT_REVOKED: 'revoked',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'self_signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'self_signed',
  INVALID_PURPOSE: 'wrong_usage',
};

/** Undefined: all is well. It is the last of what may be several problems, and the same as before where a session was resumed. */
export function opensslVerdict(socket: TLSSocket): OpensslVerdict | undefined {
  // Node itself reads it so, for its own `authorizationError`, which a server socket has only under a tls.Server.
  const { ssl } = socket as unknown as { ssl?: { verifyError?(): (Error & { code?: string }) | null } | null };
  const read = ssl?.verifyError;
  if (read === undefined) return { code: 'UNSPECIFIED', message: 'it was not verified', reason: 'untrusted' };
  const error = read.call(ssl);
  if (error === null || error === undefined) return undefined;
  const { code = 'UNSPECIFIED', message } = error;
  return { code, message, reason: REASONS[code] ?? unnamed(message) };
}

const unnamed = (message: string): TlsRefusal =>
  /subtree|name constraint/i.test(message) ? 'name_constraint' : 'untrusted';

/** Time is what it finds wrong: whether anything else is, it has not said. */
export const isAboutTime = (verdict: OpensslVerdict): boolean =>
  verdict.code === 'CERT_HAS_EXPIRED' || verdict.code === 'CERT_NOT_YET_VALID';
