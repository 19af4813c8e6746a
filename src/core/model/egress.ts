import type { CidrRange } from './server.js';

/** Calls that leave: all that is named must be so. What is not named may be anything. */
export interface EgressRule {
  /** `api.example.com`, `*.example.com` (any number of labels, at least one), `*`. In lower case. */
  readonly hosts?: readonly string[] | undefined;
  readonly ports?: readonly number[] | undefined;
  /** The address that is connected to. */
  readonly cidrs?: readonly CidrRange[] | undefined;
}

/** Where a mesh may be left for. What `deny` matches is refused, whoever is called; then what `allow` matches is not; then what is registered is not; then `default`. */
export interface EgressConfig {
  readonly default: 'allow' | 'deny';
  readonly allow: readonly EgressRule[];
  readonly deny: readonly EgressRule[];
  /** Hosts that a ServiceEntry registers and that are called where their own name leads: wildcards, and `resolution: NONE`. */
  readonly registered: readonly EgressRule[];
}

/** Nothing is asked. */
export const OPEN_EGRESS: EgressConfig = Object.freeze({ default: 'allow', allow: [], deny: [], registered: [] });
