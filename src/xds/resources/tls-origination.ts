import { systemTls, type UpstreamTls } from '../../core/model/tls.js';
import type { Message } from './message.js';
import { SAN_TYPES } from './tls-validation.js';

/**
 * TLS with the system's roots, as far as this version can do it: the server's certificate is verified for `sni` and nothing else. What
 * gRPC would do besides is refused here, after all of its rules were checked.
 */
export function requireSystemRootsOnly(tls: Message, validation: Message | undefined): UpstreamTls {
  if (tls.flag('auto_host_sni'))
    throw tls.error('auto_host_sni', 'is not supported by this version; use sni (gRFC A101)');
  // By gRFC A101 no name would be sent, and the certificate would be good for any.
  const sni = tls.text('sni');
  if (sni === '') throw tls.error('sni', 'must be set: it is the name that the server is verified for');
  if (validation !== undefined) {
    // Both say whom to trust less than the system does.
    for (const name of ['trusted_ca', 'max_verify_depth'])
      if (validation.has(name))
        throw validation.error(name, 'is not supported by this version, and TLS settings are never ignored');
    // gRFC A101: "this validation will replace the match_subject_alt_names if set"
    if (!tls.flag('auto_sni_san_validation')) requireSniAccepted(validation, sni);
  }
  return systemTls(sni);
}

/** The name that we verify is `sni`. A list that has it allows no less than that; one that lacks it asks for another name. */
function requireSniAccepted(validation: Message, sni: string): void {
  const typed = validation.messages('match_typed_subject_alt_names');
  const untyped = validation.messages('match_subject_alt_names');
  if (typed.length + untyped.length === 0) return;
  const isSni = (matcher: Message): boolean => matcher.text('exact').toLowerCase() === sni.toLowerCase();
  const accepted =
    typed.some((entry) => entry.choice('san_type', SAN_TYPES) === 'DNS' && isSni(entry.required('matcher'))) ||
    untyped.some(isSni);
  if (accepted) return;
  throw validation.error(
    typed.length > 0 ? 'match_typed_subject_alt_names' : 'match_subject_alt_names',
    `must have the exact DNS name "${sni}" (sni), the only one that is verified by this version`,
  );
}
