import type { Limit } from '../../core/model/limit.js';
import { RLS_UNIT_MS, type RlsPair } from '../../core/rls.js';

/** What a descriptor of the configuration allows. */
export interface DescriptorLimit {
  /** For metrics and logs: the domain and the keys and values that lead to it, `edge.user.path_/login`. */
  readonly rule: string;
  /** Undefined: any number. */
  readonly window: LimitWindow | undefined;
  /** What others call it that replace it; empty: nobody can. */
  readonly name: string;
  /** Names of limits that do not count for a request that this one counts for. */
  readonly replaces: readonly string[];
  /** Counted, and never over. */
  readonly shadow: boolean;
}

export interface LimitWindow {
  /** `RateLimitResponse.RateLimit.Unit`. */
  readonly unit: number;
  readonly limit: Extract<Limit, { algorithm: 'fixed_window' | 'sliding_window' | 'sliding_log' }>;
}

/** Of a unit that the protocol has; undefined of any other. */
export function windowOf(requests: number, unit: number): LimitWindow | undefined {
  const perMs = RLS_UNIT_MS[unit];
  return perMs === undefined ? undefined : { unit, limit: { algorithm: 'fixed_window', requests, perMs } };
}

/** One level of the configuration: what a descriptor of a request leads to, entry by entry. */
export interface DescriptorNode {
  /** Undefined: the way leads on only. */
  readonly limit: DescriptorLimit | undefined;
  readonly children: ReadonlyMap<string, KeyNode>;
}

/** All descriptors of one key at one level. */
export interface KeyNode {
  readonly values: ReadonlyMap<string, DescriptorNode>;
  /** `value: foo*`, in the order in which they are written: the first that fits is taken. */
  readonly wildcards: readonly WildcardNode[];
  /** Without a value: each value counts by itself. */
  readonly any: DescriptorNode | undefined;
}

export interface WildcardNode {
  readonly prefix: string;
  /** All values that begin so count together (`share_threshold`). */
  readonly shared: boolean;
  readonly node: DescriptorNode;
}

/** By domain. */
export type LimitTable = ReadonlyMap<string, DescriptorNode>;

export interface FoundLimit {
  readonly limit: DescriptorLimit;
  /** What counts together, of each entry. */
  readonly counted: readonly RlsPair[];
}

/**
 * The limit of the descriptor whose keys and values are exactly `entries`: at each level the value itself is looked for, then the wildcards, then the key
 * without a value, and there is no way back (envoyproxy/ratelimit, README, "Rate limit descriptors").
 */
export function findLimit(domain: DescriptorNode, entries: readonly RlsPair[]): FoundLimit | undefined {
  const counted: RlsPair[] = [];
  let node = domain;
  for (const [key, value] of entries) {
    const at = node.children.get(key);
    if (at === undefined) return undefined;
    const exact = at.values.get(value);
    const wildcard = exact === undefined ? at.wildcards.find(({ prefix }) => value.startsWith(prefix)) : undefined;
    const next = exact ?? wildcard?.node ?? at.any;
    if (next === undefined) return undefined;
    counted.push([key, wildcard?.shared ? `${wildcard.prefix}*` : value]);
    node = next;
  }
  return node.limit === undefined ? undefined : { limit: node.limit, counted };
}
