/** `inmesh/controlplane`: compiles YAML and serves it over xDS to inmesh, Envoy and gRPC clients. */
export type { ResourceSet } from '../core/resources.js';
export type { RedisOption } from '../resilience/ratelimit/redis/options.js';
export type { Attested, Attestor, Evidence } from './ca/attestation/attestor.js';
export type { JoinTokens, NewToken } from './ca/attestation/join-token.js';
export type { KubernetesOptions } from './ca/attestation/kubernetes.js';
export type { StoredToken } from './ca/attestation/token-file.js';
export type { AuthorityNews, CertificateAuthority, IssuedCertificate, IssueRequest } from './ca/authority.js';
export { CaError, type CaRefusal } from './ca/errors.js';
export type { CaServerOptions } from './ca/server.js';
export type { Signer, SigningRequest } from './ca/signer.js';
export { type ProcessSignerOptions, processSigner } from './ca/signers/process.js';
export { type VaultSignerOptions, vaultSigner } from './ca/signers/vault.js';
export { type CompileResult, compileText, formatProblem, loadConfig, type Problem } from './config.js';
export {
  type ControlPlane,
  type ControlPlaneCa,
  type ControlPlaneStatus,
  startControlPlane,
} from './control-plane.js';
export type { ControlPlaneOptions } from './options.js';
export { type RateLimitServer, type RateLimitServerOptions, rateLimitServer } from './ratelimit/index.js';
export type { RateLimitsStatus } from './ratelimit/rate-limits.js';
export type { DebounceOptions } from './server/debounce.js';
export type { AdsServerLimits } from './server/limits.js';
export type { RefusedConfiguration, ServedConfiguration } from './server/last-good.js';
export { type Inconsistency, InconsistentSetError } from './snapshot/consistency.js';
