import type { DecoderContext } from './context.js';
import type { Message } from './message.js';

/** "If not present, defaults to default" - common.proto, CertificateProviderPluginInstance.instance_name */
const DEFAULT_INSTANCE = 'default';

/**
 * The instance that one of the owner's fields names, the first that is set: the current field before the deprecated one, as there are
 * control planes that send both. Undefined: none is set. gRFC A29: an instance "that is not configured in the bootstrap file" is refused.
 */
export function providerInstance(
  owner: Message,
  fields: readonly string[],
  { certificateProviders }: DecoderContext,
): string | undefined {
  const field = fields.find((name) => owner.has(name));
  if (field === undefined) return undefined;
  const name = owner.required(field).text('instance_name') || DEFAULT_INSTANCE;
  if (certificateProviders.has(name)) return name;
  const known = certificateProviders.size === 0 ? 'it has none' : `it has ${[...certificateProviders].join(', ')}`;
  throw owner.error(
    `${field}.instance_name`,
    `must be in the bootstrap's certificate_providers, got "${name.slice(0, 80)}", and ${known} (gRFC A29)`,
  );
}
