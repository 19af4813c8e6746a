export { AdsClient, type AdsClientOptions } from './ads-client.js';
export type { DumpedResource } from './cache.js';
export type { ResourceState } from './cache-entry.js';
export type { ResourceDecoder } from './response.js';
export type { AdsStream, AdsTransport, StreamEnd, StreamHandlers } from './transport.js';
