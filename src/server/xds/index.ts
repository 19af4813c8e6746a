export { DEFAULT_DRAIN_GRACE_MS, type ServableServer, type ServeEnv, type ServeOptions, serveXds } from './serve.js';
export type { OnServingMode, Serving, ServingMode } from './serving.js';
