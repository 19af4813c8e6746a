import type { Clock } from '../../../core/clock.js';
import type { Logger } from '../../../core/log.js';
import {
  ASYMMETRIC_ALGORITHMS,
  DEFAULT_JWKS_CARE,
  DEFAULT_LOCATIONS,
  type JwtProvider,
} from '../../../core/model/authentication.js';
import { Keys } from '../../../identity/authn/keys.js';
import { Verifier } from '../../../identity/authn/verifier.js';
import { workloadId } from '../../../core/identity.js';
import { CaError } from '../errors.js';
import type { Attestor } from './attestor.js';
import { checkKeysAddress, type ClusterKeysOptions, clusterKeys } from './cluster-keys.js';

export interface KubernetesOptions extends ClusterKeysOptions {
  /** `iss` of the cluster's tokens: `https://kubernetes.default.svc.cluster.local`. */
  readonly issuer: string;
  /** `aud` that tokens for this authority have. Default `inmesh` and, as istiod's, `istio-ca`. */
  readonly audiences?: readonly string[];
}

export const DEFAULT_AUDIENCES = ['inmesh', 'istio-ca'] as const;
/** `system:serviceaccount:<namespace>:<name>` (Kubernetes, service account tokens). */
const SUBJECT = /^system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})$/;

/** A Kubernetes service account's token (OIDC): namespace and account make the SPIFFE ID, as they do in Istio. */
export function kubernetesAttestor(
  options: KubernetesOptions,
  trustDomain: () => string,
  env: { readonly clock: Clock; readonly logger: Logger },
): Attestor {
  checkKeysAddress(options.jwks, 'kubernetes.jwks');
  const provider: JwtProvider = {
    name: 'kubernetes',
    issuer: options.issuer,
    audiences: options.audiences ?? DEFAULT_AUDIENCES,
    subject: undefined,
    jwks: { kind: 'file', path: options.jwks },
    keys: DEFAULT_JWKS_CARE,
    algorithms: ASYMMETRIC_ALGORITHMS,
    skewMs: 20_000,
    requireExpiration: true,
    maxLifetimeMs: undefined,
    from: DEFAULT_LOCATIONS,
    forward: false,
    payloadHeader: undefined,
    claimHeaders: [],
    // Each comes once in a long while.
    cacheSize: 0,
  };
  const verifier = new Verifier(
    provider,
    new Keys(options.jwks, provider.keys, () => clusterKeys(options, env.clock), env),
    env.clock,
  );
  return {
    name: 'kubernetes',
    // A signature. Keys that are not known are asked for once in 30 s, whoever shows such a token (`UNKNOWN_KEY_COOLDOWN_MS`).
    unguessable: true,
    async attest({ token }) {
      if (token === undefined || token.split('.').length !== 3) return undefined;
      const verified = await verifier.verify(token);
      if ('problem' in verified) {
        if (verified.problem === 'keys_unavailable')
          throw new CaError('unavailable', 'the keys of the cluster cannot be had now', 5_000);
        const cause = new Error(`${verified.problem}: ${verified.detail}`);
        throw new CaError('unauthenticated', 'the service account token is not good', undefined, { cause });
      }
      const { sub } = verified.claims;
      const [, namespace, service] = SUBJECT.exec(typeof sub === 'string' ? sub : '') ?? [];
      if (namespace === undefined || service === undefined)
        throw new CaError('forbidden', 'the token is not that of a service account (sub)');
      const id = workloadId(trustDomain(), namespace, service);
      return { by: `kubernetes ${namespace}/${service}`, spiffeId: id, allows: (wanted) => wanted === id };
    },
  };
}
