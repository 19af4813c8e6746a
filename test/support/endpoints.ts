import { addressKey, type EndpointConfig } from '../../src/core/model/endpoint.js';

/** An endpoint from `host:port`, with what a test does not care about filled in. */
export function anEndpoint(at: string, more: Partial<EndpointConfig> = {}): EndpointConfig {
  const colon = at.lastIndexOf(':');
  const address = { host: at.slice(0, colon), port: Number(at.slice(colon + 1)) };
  return {
    key: addressKey(address),
    addresses: [address],
    hostname: undefined,
    weight: 1,
    locality: { region: '', zone: '', subZone: '' },
    localityWeight: 1,
    priority: 0,
    health: 'unknown',
    labels: {},
    ...more,
  };
}
