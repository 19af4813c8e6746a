export { SHARED_SCOPE, XdsClientPool, type XdsClientPoolOptions } from './pool.js';
export type {
  ServerConnections,
  ServerTransport,
  StreamEnd,
  StreamHandlers,
  TransportFactory,
  XdsStream,
} from './transport.js';
export type { ResourceDecoder } from './unpack.js';
export { XdsClient, type XdsClientOptions } from './xds-client.js';
