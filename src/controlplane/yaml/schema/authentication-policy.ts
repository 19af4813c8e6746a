import * as v from 'valibot';
import { about, listOf, pattern, resource } from './fields.js';
import { jwt, jwtRequirement } from './jwt.js';
import { mtlsMode } from './mtls.js';
import { serviceTarget } from './policy-target.js';

const PORT = /^([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$/;

const mtls = v.strictObject({
  mode: about(
    v.optional(mtlsMode),
    '`strict`: callers show a certificate of the mesh, or are refused; `permissive`: plaintext is taken as well; `disabled`: plaintext. Default: what the Service, or the mesh, has.',
  ),
  ports: about(
    v.optional(v.record(pattern(PORT, 'the number of a port'), mtlsMode)),
    'Mode by port of the Service, where it differs (Istio `portLevelMtls`): `"8080": permissive`.',
  ),
});

const spec = v.strictObject({
  targetRefs: about(
    v.optional(listOf(serviceTarget, 1, 16)),
    'Services that the policy is for. Default: the whole mesh.',
  ),
  mtls: about(v.optional(mtls), 'How servers know the workload that calls (Istio `PeerAuthentication`).'),
  jwt,
  jwtRequirement,
});

/** How servers know who calls. The most specific word counts: that of a port, then of a Service, then of the mesh. */
export const authenticationPolicy = resource('AuthenticationPolicy', ['inmesh.dev/v1alpha1'], { spec });

export type AuthenticationPolicySpec = v.InferOutput<typeof spec>;
