import type { EgressConfig } from './egress.js';

/** What concerns every client of a mesh, whomever it calls. */
export interface ClientSettings {
  /** What happens with hosts that the configuration does not know. Undefined: nobody says. */
  readonly unknownHosts: 'passthrough' | 'deny' | undefined;
  /** Where may be called at all. Undefined: everywhere. */
  readonly egress: EgressConfig | undefined;
}

/** Nobody has said anything. */
export const NO_SETTINGS: ClientSettings = Object.freeze({ unknownHosts: undefined, egress: undefined });
