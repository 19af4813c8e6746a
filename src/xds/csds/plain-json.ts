/**
 * Fields that Envoy's protos mark `udpa.annotations.sensitive`: of `TlsCertificate`, `TlsSessionTicketKeys` and `GenericSecret`. By name, wherever
 * they are: rather one too many left out.
 */
const SENSITIVE: ReadonlySet<string> = new Set([
  'private_key',
  'private_key_provider',
  'password',
  'pkcs12',
  'session_ticket_keys',
  'generic_secret',
]);

/** What stands in place of a secret, as in Envoy's own config dump. */
const REDACTED = '[redacted]';

/**
 * A resource as JSON can hold it: bytes as base64 and numbers that are none by name (proto3's JSON mapping), secrets replaced. The contents of an
 * `Any` of unknown type are left out, since nobody can say what is secret in them.
 */
export function plainJson(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))) return String(value);
  if (Array.isArray(value)) return value.map(plainJson);
  if (typeof value !== 'object' || value === null) return value;
  const unknownAny =
    '@type' in value && 'value' in value && value.value instanceof Uint8Array ? value.value : undefined;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => {
      if (SENSITIVE.has(name)) return [name, REDACTED];
      if (field === unknownAny && unknownAny !== undefined)
        return [name, `${unknownAny.length} bytes of an unknown type`];
      return [name, plainJson(field)];
    }),
  );
}
