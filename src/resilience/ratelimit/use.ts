import type { Limit } from '../../core/model/limit.js';

/** A request that was let through, by a rule that is metered. */
export interface Use {
  readonly rule: string;
  /** Undefined: the rule says none. */
  readonly plan: string | undefined;
  /** Whose: a value per entry of the rule's key, in order; undefined for one that was skipped. */
  readonly key: readonly (string | undefined)[];
  /** Names of the entries. */
  readonly names: readonly string[];
  readonly cost: number;
  /** By which it was decided; undefined where the key is not limited, or a service knows the limit. */
  readonly limit: Limit | undefined;
}

/** Who is told of uses (src/resilience/quota). */
export interface UseSink {
  used(use: Use): void;
}
