/*
 * `inmesh/spiffe`: a client of the SPIFFE Workload API, and the parts of SPIFFE by themselves. Needs nothing of the mesh.
 */
export { DecodeError } from './core/decode.js';
export { IdentityError } from './core/errors.js';
export type { IdentitySource, IdentityState, IdentityWatcher, Trust, X509Identity } from './core/identity.js';
export { type JwtBundles, type JwtSvid, JwtSvidError, readJwtBundles, verifyJwtSvid } from './identity/jwt-svid.js';
export { parseSpiffeId, parseTrustDomain, parseWorkloadId, type SpiffeId } from './identity/spiffe-id.js';
export { type IdentityParts, readIdentity, SvidError } from './identity/svid.js';
export type { JwtSvidRequest } from './identity/workload-api/jwt-cache.js';
export type { ValidatedJwt } from './identity/workload-api/messages.js';
export { type SpiffeOptions, type SpiffeWorkload, spiffeWorkload } from './identity/workload-api/spiffe.js';
