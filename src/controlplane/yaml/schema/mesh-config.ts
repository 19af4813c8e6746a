import * as v from 'valibot';
import { authorizationDefaults } from './authorization-policy.js';
import { egress } from './egress.js';
import { about, oneOf, resource } from './fields.js';
import { mtlsMode, trustDomain } from './mtls.js';

const spec = v.strictObject({
  unknownHosts: about(
    v.optional(oneOf(['passthrough', 'deny']), 'passthrough'),
    'A host that no Service names: `passthrough` resolves it by DNS with default policies, `deny` fails the call. Default passthrough.',
  ),
  egress: about(v.optional(egress), 'Where calls may leave the mesh for. Default: everywhere.'),
  mtls: about(
    v.optional(mtlsMode),
    'Mutual TLS between the Services of the mesh: `strict` is that and nothing else, `permissive` has servers take plaintext as well (callers use it, unless a TrafficPolicy says `tls`), `disabled` is plaintext. A Service or a port may differ (AuthenticationPolicy). Services with `dns` or an `externalName` are outside of it. Default disabled.',
  ),
  authorization: about(
    v.optional(authorizationDefaults),
    'What servers do with requests that no AuthorizationPolicy speaks of.',
  ),
  trustDomain: about(
    v.optional(trustDomain),
    'SPIFFE trust domain: workloads are `spiffe://<trust domain>/ns/<namespace>/sa/<Service>`. Default cluster.local (Istio).',
  ),
});

/** Settings of the whole mesh; at most one. */
export const meshConfig = resource('MeshConfig', ['inmesh.dev/v1alpha1'], { spec: v.optional(spec, {}) });

export type MeshConfigSpec = v.InferOutput<typeof spec>;
