import * as v from 'valibot';
import { about, oneOf, resource } from './fields.js';

const spec = v.strictObject({
  unknownHosts: about(
    v.optional(oneOf(['passthrough', 'deny']), 'passthrough'),
    'A host that no Service names: `passthrough` resolves it by DNS with default policies, `deny` fails the call. Default passthrough.',
  ),
});

/** Settings of the whole mesh; at most one. */
export const meshConfig = resource('MeshConfig', ['inmesh.dev/v1alpha1'], { spec: v.optional(spec, {}) });

export type MeshConfigSpec = v.InferOutput<typeof spec>;
