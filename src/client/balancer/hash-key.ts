import type { Endpoint } from '../endpoints/endpoint.js';

/** What of an endpoint is hashed: its `hash_key` label, else its hostname when that is asked for, else its address (gRFC A76, Envoy). */
export function hashKeyOf({ config }: Endpoint, useHostname: boolean | undefined): string {
  return config.hashKey || (useHostname === true ? config.hostname : undefined) || config.key;
}
