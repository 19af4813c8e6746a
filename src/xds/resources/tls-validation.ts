import type { SanMatch, TlsRoots } from '../../core/model/tls.js';
import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import type { Side } from './side.js';
import { stringMatch } from './string-match.js';
import { providerInstance } from './tls-providers.js';

const SAN_TYPES = ['SAN_TYPE_UNSPECIFIED', 'EMAIL', 'DNS', 'URI', 'IP_ADDRESS', 'OTHER_NAME'] as const;

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
  typed.forEach(typedName);
  // gRFC A29: "On the server side an implementation may support this field and its semantics, or NACK"
  if (side === 'server' && names.length + typed.length > 0) {
    const name = names.length > 0 ? 'match_subject_alt_names' : 'match_typed_subject_alt_names';
    throw validation.error(name, 'is not supported on a server; use an RBAC filter (gRFC A29)');
  }
}

/** Names of which the certificate must have one. Where both lists are there Envoy takes the typed one and ignores the other, the only one that gRPC knows. */
export function sanMatches(validation: Message): readonly SanMatch[] {
  const typed = validation.messages('match_typed_subject_alt_names');
  if (typed.length > 0) return typed.map(typedName);
  return validation
    .messages('match_subject_alt_names')
    .map((matcher) => ({ type: 'any', match: stringMatch(matcher) }));
}

function typedName(matcher: Message): SanMatch {
  const type = matcher.choice('san_type', SAN_TYPES);
  // "not_in: 0" - common.proto
  if (type === 'SAN_TYPE_UNSPECIFIED')
    throw matcher.error('san_type', `must be one of ${SAN_TYPES.slice(1).join(', ')}`);
  const match = stringMatch(matcher.required('matcher'));
  if (type !== 'OTHER_NAME') return { type, match };
  // "required … if the SAN type is OTHER_NAME" - common.proto
  const oid = matcher.text('oid');
  if (!OBJECT_IDENTIFIER.test(oid))
    throw matcher.error(
      'oid',
      `must be an object identifier such as 1.3.6.1.4.1.311.20.2.3, got "${oid.slice(0, 80)}"`,
    );
  return { type, match, oid };
}

const OBJECT_IDENTIFIER = /^[0-2](\.\d{1,40}){1,64}$/;

/** Where the roots come from; `deprecated` is the instance that a field outside of the validation context names. */
export function validationRoots(
  validation: Message,
  deprecated: string | undefined,
  side: Side,
  context: DecoderContext,
): TlsRoots {
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
