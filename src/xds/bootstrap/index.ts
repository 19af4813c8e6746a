export {
  type ApiType,
  type AuthorityConfig,
  type Bootstrap,
  type CallCredentialsConfig,
  type CertificateProviderConfig,
  type ChannelCredentialsConfig,
  listenerName,
  type ServerFeatures,
  serverKey,
  type XdsServer,
} from './bootstrap.js';
export { BootstrapError, hasBootstrap, loadBootstrap } from './load.js';
export type { NodeDefaults } from './node.js';
export { bootstrapFor, parseBootstrap } from './parse.js';
