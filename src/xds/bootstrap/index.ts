export {
  type ApiType,
  type AuthorityConfig,
  type Bootstrap,
  type CallCredentialsConfig,
  type CertificateProviderConfig,
  type ChannelCredentialsConfig,
  type ServerFeatures,
  serverKey,
  type XdsServer,
} from './bootstrap.js';
export type { BootstrapJson, CredentialsJson, XdsServerJson } from './json.js';
export { BootstrapError, hasBootstrap, loadBootstrap } from './load.js';
export { listenerName, serverListenerName, targetListenerName } from './names.js';
export type { NodeDefaults } from './node.js';
export { bootstrapFor, parseBootstrap } from './parse.js';
