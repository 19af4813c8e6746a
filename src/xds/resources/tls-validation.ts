import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import type { Side } from './side.js';
import { stringMatch } from './string-match.js';
import { providerInstance } from './tls-providers.js';

/** What a peer's certificate is verified with: an instance of the bootstrap's, or the system's roots (gRFC A82). Never both. */
export type Roots = { readonly kind: 'provider'; readonly instance: string } | { readonly kind: 'system' };

export const SAN_TYPES = ['SAN_TYPE_UNSPECIFIED', 'EMAIL', 'DNS', 'URI', 'IP_ADDRESS', 'OTHER_NAME'] as const;

/**
 * `CertificateValidationContext` by the rules of gRFC A29. `trusted_ca`, `watched_directory`, `allow_expired_certificate` and
 * `trust_chain_verification` are ignored there.
 */
export function checkValidationContext(validation: Message, side: Side): void {
  // gRFC A29: "the update is NACKed because ignoring these fields compromises security"
  for (const name of ['verify_certificate_spki', 'verify_certificate_hash'])
    if (validation.texts(name).length > 0) throw notIgnored(validation, name);
  if (validation.boolValue('require_signed_certificate_timestamp') === true)
    throw notIgnored(validation, 'require_signed_certificate_timestamp');
  for (const name of ['crl', 'custom_validator_config']) if (validation.has(name)) throw notIgnored(validation, name);
  checkNames(validation, side);
}

function checkNames(validation: Message, side: Side): void {
  const names = validation.messages('match_subject_alt_names');
  const typed = validation.messages('match_typed_subject_alt_names');
  names.forEach(stringMatch);
  for (const matcher of typed) {
    // "not_in: 0" - common.proto
    if (matcher.choice('san_type', SAN_TYPES) === 'SAN_TYPE_UNSPECIFIED')
      throw matcher.error('san_type', `must be one of ${SAN_TYPES.slice(1).join(', ')}`);
    stringMatch(matcher.required('matcher'));
  }
  // gRFC A29: "On the server side an implementation may support this field and its semantics, or NACK"
  if (side === 'server' && names.length + typed.length > 0) {
    const name = names.length > 0 ? 'match_subject_alt_names' : 'match_typed_subject_alt_names';
    throw validation.error(name, 'is not supported on a server; use an RBAC filter (gRFC A29)');
  }
}

/** Where the roots come from; `deprecated` is the instance that a field outside of the validation context names. */
export function validationRoots(
  validation: Message,
  deprecated: string | undefined,
  side: Side,
  context: DecoderContext,
): Roots {
  const field = 'ca_certificate_provider_instance';
  const instance = providerInstance(validation, [field], context) ?? deprecated;
  if (instance !== undefined) return { kind: 'provider', instance };
  const system = validation.has('system_root_certs');
  if (side === 'client') {
    // gRFC A82: "if this field is present and the ca_certificate_provider_instance field is unset, system root certificates will be used"
    if (system) return { kind: 'system' };
    throw validation.error('system_root_certs', `must be set, or ${field} (gRFC A29, A82)`);
  }
  // gRFC A82: "If ca_certificate_provider_instance is unset and system_root_certs is set, the LDS resource will be NACKed."
  if (system) throw validation.error('system_root_certs', `is not supported on a server; use ${field} (gRFC A82)`);
  throw validation.error(field, 'must be set: the certificates of clients need roots (gRFC A29)');
}

function notIgnored(owner: Message, name: string): Error {
  return owner.error(name, 'is not supported, and TLS settings are never ignored (gRFC A29)');
}
