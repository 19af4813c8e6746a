export { AdsClient, type AdsClientOptions } from './ads-client.js';
export type { DumpedResource } from './cache.js';
export type { ResourceState } from './cache-entry.js';
export type { ResourceDecoder } from './response.js';
export type {
  ServerConnections,
  ServerTransport,
  StreamEnd,
  StreamHandlers,
  TransportFactory,
  XdsStream,
} from './transport.js';
