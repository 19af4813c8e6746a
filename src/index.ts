export type { Endpoint as BalancerEndpoint } from './client/endpoints/endpoint.js';
export {
  type BalancerEnv,
  type BalancerFactory,
  type PickRequest,
  type Policy as BalancerPolicy,
  registerBalancer,
} from './client/balancer/balancer.js';
export type { MeshDispatchOptions } from './client/fetch/dispatch-request.js';
export type { MeshOptions as MeshCallOptions } from './client/fetch/mesh-options.js';
export { type GrpcCallOptions, meshMetadata } from './client/grpc/mesh-metadata.js';
export type { Call, CallRecord } from './core/call.js';
export type { CallPolicyOptions, HedgeOptions, RetryOptions } from './core/call-policy.js';
export type { Clock } from './core/clock.js';
export { DecodeError } from './core/decode.js';
export {
  ERROR_CODES,
  type ErrorOrigin,
  MeshError,
  type MeshErrorCode,
  type Reached,
  type ResponseFlag,
} from './core/errors.js';
export type { Logger } from './core/log.js';
export type { Reply } from './core/reply.js';
export type { Filter, Service } from './core/service.js';
export { VERSION } from './core/version.js';
export { meshClient } from './mesh/client.js';
export type { PeerIdentity } from './core/identity.js';
export type { JwtSvid } from './identity/jwt-svid.js';
export type { JwtSvidRequest } from './identity/workload-api/jwt-cache.js';
export type { WorkloadIdentity } from './mesh/identity.js';
export type {
  IdentityCa,
  IdentityFiles,
  IdentityOption,
  IdentitySds,
  IdentityWorkloadApi,
} from './mesh/identity-option.js';
export type { MeshDump } from './mesh/dump.js';
export type { Mesh } from './mesh/mesh.js';
export type { MeshOptions } from './mesh/options.js';
export type { FallbackFunction, FallbackReply, FallbackRequest } from './core/fallback.js';
export type { UsageAccount, UsageSnapshot } from './resilience/quota/snapshot.js';
export type { RateLimitedError } from './resilience/ratelimit/errors.js';
export type {
  RedisClient,
  RedisOption,
  RedisOptions,
  RedisTlsOptions,
} from './resilience/ratelimit/redis/options.js';
export type { ExpiredOptions } from './server/expired.js';
export { meshHandler } from './server/http.js';
export type { SecureMode } from './server/tls/front.js';
export type { SecuredServer, SecureOptions } from './server/tls/secure-options.js';
export type { SecurableServer } from './server/tls/secure.js';
export { meshUpgrade, type UpgradeListener } from './server/upgrade.js';
export type { InboundOptions } from './server/inbound.js';
export {
  type LoadSources,
  MetricRecorder,
  type MetricRecorderOptions,
  type OrcaFormat,
  type OrcaOptions,
  type RequestMetrics,
  requestMetrics,
  serverMetrics,
} from './server/orca/index.js';
