import type { TlsRoots } from '../../core/model/tls.js';
import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import type { Side } from './side.js';
import { providerInstance } from './tls-providers.js';
import { checkValidationContext, validationRoots } from './tls-validation.js';

/** What a `CommonTlsContext` says of the peer. */
interface PeerValidation<R = TlsRoots | undefined> {
  /** What the peer's certificate is verified with; undefined: a server that asks for none. */
  readonly roots: R;
  /** `CertificateValidationContext`; undefined: there is none, or only an instance in a deprecated field. */
  readonly validation: Message | undefined;
}

/** `identity`: the provider instance of one's own certificate; undefined: none is shown. */
export type CommonTls<S extends Side> = S extends 'server'
  ? PeerValidation & { readonly identity: string }
  : PeerValidation<TlsRoots> & { readonly identity: string | undefined };

/** `CommonTlsContext` by the rules of gRFC A29 and A82. `alpn_protocols` is ignored. */
export function commonTls<S extends Side>(common: Message, side: S, context: DecoderContext): CommonTls<S> {
  // gRFC A29: "if present will cause a NACK from gRPC because ignoring these fields compromises security"
  for (const name of ['tls_params', 'custom_handshaker'])
    if (common.has(name)) throw common.error(name, 'is not supported, and TLS settings are never ignored (gRFC A29)');
  // What each side must have has been looked for.
  return { identity: identity(common, side, context), ...peerValidation(common, side, context) } as CommonTls<S>;
}

const IDENTITY = ['tls_certificate_provider_instance', 'tls_certificate_certificate_provider_instance'];

function identity(common: Message, side: Side, context: DecoderContext): string | undefined {
  const instance = providerInstance(common, IDENTITY, context);
  if (instance !== undefined) return instance;
  // gRFC A29: a NACK if the instance "is unset but either of" these is set. The third is as little of use to us.
  const other = ['tls_certificates', 'tls_certificate_sds_secret_configs'].find(
    (name) => common.messages(name).length > 0,
  );
  const unread = other ?? ['tls_certificate_certificate_provider'].find((name) => common.has(name));
  if (unread !== undefined)
    throw common.error(unread, 'is not supported without tls_certificate_provider_instance (gRFC A29)');
  // gRFC A29: "The server's identity certificate … If this field is not present … gRPC will NACK the LDS update."
  if (side === 'server')
    throw common.error('tls_certificate_provider_instance', 'must be set: a server needs a certificate (gRFC A29)');
  return undefined;
}

const DEPRECATED_ROOTS = 'validation_context_certificate_provider_instance';
const VALIDATION_TYPES = [
  'validation_context',
  'combined_validation_context',
  DEPRECATED_ROOTS,
  'validation_context_sds_secret_config',
  'validation_context_certificate_provider',
] as const;

function peerValidation(common: Message, side: Side, context: DecoderContext): PeerValidation {
  const type = common.oneof(...VALIDATION_TYPES);
  switch (type) {
    case 'validation_context':
      return validated(common.required(type), undefined, side, context);
    case 'combined_validation_context': {
      const combined = common.required(type);
      const deprecated = providerInstance(combined, [DEPRECATED_ROOTS], context);
      const validation = combined.message('default_validation_context');
      if (validation !== undefined) {
        const found = validated(validation, deprecated, side, context);
        // The system's roots would be narrowed by what comes over SDS. A provider's take its place.
        const sds = 'validation_context_sds_secret_config';
        if (found.roots?.kind === 'system' && combined.has(sds))
          throw combined.error(sds, 'is not supported without ca_certificate_provider_instance (gRFC A29)');
        return found;
      }
      if (deprecated !== undefined) return fromDeprecated(deprecated);
      throw combined.error('default_validation_context', 'must be set (gRFC A29)');
    }
    case DEPRECATED_ROOTS:
      return fromDeprecated(providerInstance(common, [DEPRECATED_ROOTS], context));
    case undefined:
      // gRFC A29: a server without one "will not request the client's certificate"; "gRPC will NACK the CDS update".
      if (side === 'server') return { roots: undefined, validation: undefined };
      throw common.error('validation_context', 'must be set: the server would not be verified (gRFC A29)');
    default:
      // gRFC A29: "If the validation_context_sds_secret_config field is set, gRPC will NACK …, since we do not support SDS."
      throw common.error(type, 'is not supported; use validation_context with a provider instance (gRFC A29)');
  }
}

function validated(
  validation: Message,
  deprecated: string | undefined,
  side: Side,
  context: DecoderContext,
): PeerValidation {
  checkValidationContext(validation, side);
  return { roots: validationRoots(validation, deprecated, side, context), validation };
}

function fromDeprecated(instance: string | undefined): PeerValidation {
  return { roots: instance === undefined ? undefined : { kind: 'provider', instance }, validation: undefined };
}
