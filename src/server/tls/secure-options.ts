import { DecodeError, knownKeys, shown, string } from '../../core/decode.js';
import type { Address } from '../../core/model/endpoint.js';
import type { ServerParts } from '../parts.js';
import type { SecureMode } from './front.js';

export interface SecureOptions {
  /** Default: what the configuration says for the service, from connection to connection. */
  readonly mode?: SecureMode;
  /** The service that the server is, by a name that others call it by. Default: the mesh's own `service`. */
  readonly service?: string;
  /** Where to listen, `0.0.0.0:8080` or `[::]:8080`; port 0 for any. For grpc-js's Server, which must have it, and for no other: those listen by themselves. */
  readonly address?: string;
}

/** A server whose connections the mesh takes first. */
export interface SecuredServer {
  /** Undefined while the configuration has said nothing: connections wait for it, and go when it does not come in time. */
  readonly mode: SecureMode | undefined;
  /** Where the mesh listens for it; undefined: the server listens by itself. */
  readonly address: Address | undefined;
  /** Gives the server back as it was, and listens no more for it; connections stay. With the mesh as well. */
  close(): void;
}

/** Options as checked. */
export type SecureSettings = Pick<SecureOptions, 'mode' | 'service'>;

const MODES: readonly SecureMode[] = ['strict', 'permissive', 'disabled'];

/** Throws DecodeError. */
export function secureSettings(options: SecureOptions, parts: ServerParts): SecureSettings {
  knownKeys(options as Record<string, unknown>, 'secure', ['mode', 'service', 'address']);
  const { mode, service = parts.service } = options;
  if (mode !== undefined && !MODES.includes(mode))
    throw new DecodeError('secure.mode', `must be one of ${MODES.join(', ')}, got ${shown(mode)}`);
  if (mode === undefined && service === undefined)
    throw new DecodeError(
      'secure.service',
      'must say whose configuration holds, or secure.mode what is asked of connections',
    );
  return {
    ...(mode !== undefined && { mode }),
    ...(service !== undefined && { service: string(service, 'secure.service') }),
  };
}
