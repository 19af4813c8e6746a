/** `inmesh/controlplane`: compiles YAML and serves it over xDS to inmesh, Envoy and gRPC clients. */
export type { ResourceSet } from '../core/resources.js';
export type { RedisOption } from '../resilience/ratelimit/redis/options.js';
export { type CompileResult, compileText, formatProblem, loadConfig, type Problem } from './config.js';
export {
  type ControlPlane,
  type ControlPlaneOptions,
  type ControlPlaneStatus,
  startControlPlane,
} from './control-plane.js';
export { type RateLimitServer, type RateLimitServerOptions, rateLimitServer } from './ratelimit/index.js';
export type { RateLimitsStatus } from './ratelimit/rate-limits.js';
export type { DebounceOptions } from './server/debounce.js';
export type { AdsServerLimits } from './server/limits.js';
export type { RefusedConfiguration, ServedConfiguration } from './server/last-good.js';
export { type Inconsistency, InconsistentSetError } from './snapshot/consistency.js';
