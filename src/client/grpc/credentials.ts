import type { CallCredentials, Metadata } from '@grpc/grpc-js';
import { appendHeader, type HeaderFields } from '../../core/headers.js';
import type { CallSettings, ChannelContext } from './channel.js';
import { fieldsOfMetadata } from './metadata.js';
import { STATUS } from './status.js';

/** "https://" and host, without a port of 443, and the service without its method: what tokens are made out to. */
export function serviceUrl(host: string, path: string): string {
  const service = path.split('/')[1] ?? '';
  return `https://${host.replace(/:443$/, '')}/${service}`;
}

/** gRFC A54: codes that only a server may give; from credentials they become INTERNAL. */
const SERVER_ONLY = new Set([0, 3, 5, 6, 9, 10, 11, 15]);

class CredentialsError extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** A code that is none of gRPC's, an HTTP status say, is UNKNOWN. The one that A54 rewrites stays in the message, as it asks. */
function credentialsError(code: unknown, details: string): CredentialsError {
  if (!isStatus(code)) return new CredentialsError(STATUS.UNKNOWN, details);
  if (SERVER_ONLY.has(code))
    return new CredentialsError(STATUS.INTERNAL, `${details} (status ${code} is not for credentials to give)`);
  return new CredentialsError(code, details);
}

const isStatus = (code: unknown): code is number =>
  typeof code === 'number' && Number.isInteger(code) && code >= 0 && code <= 16;

/**
 * Adds what call credentials generate to `fields`. Rejects with a status code and a message. Refused on a channel that is not secure,
 * as gRPC's specification of credentials has it: a token on the open wire is anybody's.
 */
export async function callMetadata(
  credentials: CallCredentials,
  fields: HeaderFields,
  settings: CallSettings,
  channel: ChannelContext,
): Promise<void> {
  if (!channel.secure) {
    throw new CredentialsError(
      STATUS.UNAUTHENTICATED,
      `call credentials are not sent to "${channel.authority}" in plain text: set secure on the channel when TLS or mTLS carries it`,
    );
  }
  const service_url = serviceUrl(settings.host ?? channel.authority, settings.path);
  let generated: Metadata;
  try {
    generated = await credentials.generateMetadata({ method_name: settings.path, service_url });
  } catch (cause) {
    const { code, message } = cause as { code?: unknown; message?: string };
    const details = `call credentials failed: ${message ?? String(cause)}`;
    throw credentialsError(code, details);
  }
  const added = fieldsOfMetadata(generated);
  for (const name in added) {
    const value = added[name] as string | string[];
    for (const each of typeof value === 'string' ? [value] : value) appendHeader(fields, name, each);
  }
  if (Array.isArray(fields['authorization'])) {
    throw new CredentialsError(STATUS.INTERNAL, '"authorization" metadata cannot have several values');
  }
}
