import {
  ASYMMETRIC_ALGORITHMS,
  DEFAULT_JWKS_CARE,
  DEFAULT_LOCATIONS,
  type JwtProvider,
} from '../../../src/core/model/authentication.js';

export const ISSUER = 'https://issuer.test';

/** What YAML's defaults come to. */
export const provider = (jwks: string, changes: Partial<JwtProvider> = {}): JwtProvider => ({
  name: 'p',
  issuer: ISSUER,
  audiences: [],
  subject: undefined,
  jwks: { kind: 'inline', text: jwks },
  keys: DEFAULT_JWKS_CARE,
  algorithms: ASYMMETRIC_ALGORITHMS,
  skewMs: 60_000,
  requireExpiration: true,
  maxLifetimeMs: undefined,
  from: DEFAULT_LOCATIONS,
  forward: true,
  payloadHeader: undefined,
  claimHeaders: [],
  cacheSize: 1_000,
  ...changes,
});

export { silentLogger as quiet } from '../../../src/core/log.js';
