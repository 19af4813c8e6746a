import { isIP } from 'node:net';
import { DecodeError, shown } from '../../core/decode.js';
import type { Address } from '../../core/model/endpoint.js';

/**
 * `0.0.0.0:8080`, `[::]:8080`. An IP address and a port, because the listener's name is made of them; and no ephemeral port: "XdsServer will
 * not support ephemeral ports" - gRFC A36. Where no listener is named so, `leastPort` may be 0. Throws DecodeError.
 */
export function listenAddress(text: string, path: string, leastPort = 1): Address {
  const parts = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const host = parts?.[1] ?? parts?.[2] ?? '';
  const port = Number(parts?.[3]);
  const family = parts?.[1] === undefined ? 4 : 6;
  if (isIP(host) !== family || !(port >= leastPort && port <= 65_535)) {
    throw new DecodeError(
      path,
      `must be an IP address and a port from ${leastPort} to 65535, like "0.0.0.0:8080" or "[::]:8080", got ${shown(text)}`,
    );
  }
  return { host, port };
}
