import { createPrivateKey, type KeyObject } from 'node:crypto';
import type { Secret, Trust } from '../../core/identity.js';
import type { Resource } from '../../core/resources.js';
import { CERTIFICATE, CRL, MAX_PEM_BYTES, readPem, writePem } from '../../identity/pem.js';
import { parseTrustDomain } from '../../identity/spiffe-id.js';
import { extension } from './any.js';
import { Message } from './message.js';

const SPIFFE_VALIDATOR = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';
/** Trust domains in one secret; as many as a map of bundles may have (identity/bundle.ts). */
const MAX_TRUST_DOMAINS = 4_096;

/** `transport_sockets.tls.v3.Secret`: a certificate with its key, or whom to trust. Throws a ResourceError, which shows nothing of what is secret. */
export function secret(resource: Resource): Secret {
  const message = new Message(resource, '');
  const kind = message.oneof('tls_certificate', 'session_ticket_keys', 'validation_context', 'generic_secret');
  if (kind === 'tls_certificate') return certificate(message.required(kind));
  if (kind === 'validation_context') return validation(message.required(kind));
  throw message.error(kind ?? '', 'must be tls_certificate or validation_context');
}

function certificate(tls: Message): Secret {
  for (const name of ['private_key_provider', 'password', 'pkcs12'])
    if (tls.has(name)) throw tls.error(name, 'is not supported: send a private_key that is not encrypted');
  const [leaf, ...chain] = pems(tls, 'certificate_chain', CERTIFICATE);
  if (leaf === undefined) throw tls.error('certificate_chain', 'must have a certificate in PEM');
  return { kind: 'certificate', certificates: [leaf, ...chain], privateKey: privateKey(tls) };
}

function privateKey(tls: Message): KeyObject {
  const key = Buffer.from(source(tls, 'private_key'));
  try {
    return createPrivateKey(key);
  } catch {
    // Of the reason nothing is told: OpenSSL's may quote what it was given.
    throw tls.error('private_key', 'must be a private key in PEM that is not encrypted');
  } finally {
    key.fill(0);
  }
}

/** Whom to trust and who is revoked. What else a validation context says belongs to the configuration of a cluster or a listener. */
function validation(context: Message): Secret {
  for (const name of ['verify_certificate_spki', 'verify_certificate_hash'])
    if (context.texts(name).length > 0)
      throw context.error(name, 'is not supported, and TLS settings are never ignored');
  for (const name of ['match_typed_subject_alt_names', 'match_subject_alt_names'])
    if (context.messages(name).length > 0)
      throw context.error(name, 'is not supported in a secret, and TLS settings are never ignored');
  const crls = context.has('crl') ? pems(context, 'crl', CRL) : [];
  return { kind: 'validation', trust: trust(context), crls };
}

function trust(context: Message): Trust {
  const validator = context.message('custom_validator_config');
  if (validator === undefined) {
    const certificates = pems(context, 'trusted_ca', CERTIFICATE);
    if (certificates.length === 0) throw context.error('trusted_ca', 'must have a certificate in PEM');
    return { kind: 'roots', certificates };
  }
  const config = validator.required('typed_config');
  const { kind, type } = extension(config);
  if (kind !== 'message' || type !== SPIFFE_VALIDATOR)
    throw validator.error('typed_config', `must be ${SPIFFE_VALIDATOR}, got "${type}"`);
  const domains = config.messages('trust_domains');
  if (domains.length > MAX_TRUST_DOMAINS)
    throw config.error('trust_domains', `must be at most ${MAX_TRUST_DOMAINS}, got ${domains.length}`);
  const bundles = new Map<string, readonly string[]>();
  for (const domain of domains) {
    const name = domain.requiredText('name');
    if (bundles.has(name)) throw domain.error('name', `is there twice: "${name.slice(0, 80)}"`);
    bundles.set(trustDomain(name, domain), pems(domain, 'trust_bundle', CERTIFICATE));
  }
  return { kind: 'spiffe', bundles };
}

function trustDomain(name: string, domain: Message): string {
  try {
    return parseTrustDomain(name, domain.at('name'));
  } catch (error) {
    throw domain.error('name', `must be a SPIFFE trust domain: ${(error as Error).message}`);
  }
}

function pems(owner: Message, field: string, label: string): string[] {
  const text = Buffer.from(source(owner, field)).toString('latin1');
  try {
    return readPem(text, label).map((der) => writePem(label, der));
  } catch (error) {
    throw owner.error(field, (error as Error).message);
  }
}

/** `core.v3.DataSource`, of what is in the message: a server does not say which files and variables of this machine are read. */
function source(owner: Message, field: string): Uint8Array {
  const data = owner.required(field);
  const kind = data.oneof('filename', 'inline_bytes', 'inline_string', 'environment_variable');
  if (kind !== 'inline_bytes' && kind !== 'inline_string')
    throw data.error(kind ?? '', 'must be inline_bytes or inline_string');
  const bytes = kind === 'inline_bytes' ? data.bytes(kind) : Buffer.from(data.text(kind));
  if (bytes.length > MAX_PEM_BYTES) throw data.error(kind, `must have at most ${MAX_PEM_BYTES} bytes`);
  return bytes;
}
