export { type Bootstrap, type ChannelCredentialsConfig, listenerName, type XdsServer } from './bootstrap.js';
export { BootstrapError, hasBootstrap, loadBootstrap } from './load.js';
export type { NodeDefaults } from './node.js';
export { bootstrapFor, parseBootstrap } from './parse.js';
