import type { HeaderMatch, QueryMatch, RouteMatch } from './match.js';

/**
 * What of a request says whose count it adds to: one entry of a descriptor (Envoy `RateLimit.Action`). `as` is the entry's key where a rate limit service is
 * asked, and in metrics. A request that lacks it is treated as `absent` says: `empty` counts all such together under '' (the default: who leaves a header
 * out escapes nothing), `skip-entry` counts it by the other entries (`skip_if_absent`), `skip-rule` does not count it at all (Envoy's default).
 */
export type LimitKey = {
  readonly as: string;
  readonly absent?: 'empty' | 'skip-entry' | 'skip-rule' | undefined;
} /** Also `:path` (with its query), `:method`, `:authority` and `:scheme`. */ & (
  | { readonly kind: 'header'; readonly name: string }
  /** As written, not decoded; the first of several. */
  | { readonly kind: 'query'; readonly name: string }
  /** Of the peer, or of the client that trusted proxies tell of; masked to so many bits where any are given, and then with them: `10.1.0.0/16` (`masked_remote_address`). */
  | { readonly kind: 'remote_address'; readonly v4Bits?: number | undefined; readonly v6Bits?: number | undefined }
  /** SPIFFE ID of the caller, verified. */
  | { readonly kind: 'identity' }
  /** A claim of the verified token, by its path: `['sub']`, `['realm_access', 'tier']`. */
  | { readonly kind: 'claim'; readonly path: readonly string[] }
  | { readonly kind: 'route' | 'method' | 'path' | 'host' }
  /** The cluster that the call goes to, and the service that this process is (`destination_cluster`, `source_cluster`). */
  | { readonly kind: 'destination' | 'source' }
  | { readonly kind: 'generic'; readonly value: string }
  /** `value` where all of these match, or not, as `expect` says; else it is absent (`header_value_match`, `query_parameter_value_match`). */
  | {
      readonly kind: 'match';
      readonly value: string;
      readonly headers: readonly HeaderMatch[];
      readonly query: readonly QueryMatch[];
      readonly expect: boolean;
    }
);

/** How many requests are let through in what time. All numbers are whole; `requests` 0 lets none through. */
export type Limit =
  /** `requests` per `perMs`, evenly, and up to `burst` at once after a pause (GCRA; Envoy `TokenBucket`: `max_tokens` is the burst). */
  | {
      readonly algorithm: 'token_bucket';
      readonly requests: number;
      readonly perMs: number;
      /** From 1. */
      readonly burst: number;
    }
  /**
   * `fixed_window`: in each window of `perMs` since the epoch. `sliding_window`: the window before counts in the share that it still covers.
   * `sliding_log`: exactly, in any span of `perMs`; remembers each request.
   */
  | {
      readonly algorithm: 'fixed_window' | 'sliding_window' | 'sliding_log';
      readonly requests: number;
      readonly perMs: number;
    }
  /** In each minute, hour, … of the calendar, in `timeZone` (IANA); weeks begin on Monday (ISO 8601). */
  | {
      readonly algorithm: 'calendar';
      readonly requests: number;
      readonly per: 'minute' | 'hour' | 'day' | 'week' | 'month' | 'year';
      readonly timeZone: string;
    };

/** Where the counts of a rule are. */
export type LimitStoreRef =
  /** In this process. */
  | { readonly kind: 'local' }
  /** In Redis, shared by all that name the same. */
  | {
      readonly kind: 'redis';
      /** Of `MeshOptions.redis`; `default` is also what INMESH_REDIS_URL says. */
      readonly name: string;
      /** `redis://…`, `rediss://…`, used where the application configured none of that name. Several: the first nodes of a cluster. */
      readonly urls?: readonly string[] | undefined;
      /** How long a call waits for it, in milliseconds, 1 to 60_000. Default 50. */
      readonly timeoutMs: number;
      /** Permits taken in advance for a hot key, so that not each call asks. Absent: each call asks. */
      readonly lease?: LimitLease | undefined;
    }
  /** A rate limit service (`envoy.service.ratelimit.v3`), which knows the limit itself by `domain` and descriptor. */
  | {
      readonly kind: 'rls';
      /** The cluster or authority that answers. */
      readonly service: string;
      readonly domain: string;
      /** Milliseconds. Default 20 (Envoy). */
      readonly timeoutMs: number;
    };

export interface LimitLease {
  /** Permits of one lease at most, from 2. Never more than a fair part of what is left. */
  readonly maxPermits: number;
  /** What was not used after so many milliseconds is given back or lost, never used later. */
  readonly ttlMs: number;
}

/** One rule: whose requests, which of them, how many, and what happens to those beyond. */
export interface LimitRule {
  /** Unique among the rules of the mesh (`namespace/policy/rule`): for metrics, and the name of the counts, which outlive an update of the configuration. */
  readonly name: string;
  /** Only requests that any of these match; absent: all. */
  readonly when?: readonly RouteMatch[] | undefined;
  /** Only this share of the requests, in (0, 1]; rules whose shares have one name look at the same ones (Envoy `filter_enabled`). Absent: at all. */
  readonly share?: { readonly name: string; readonly of: number } | undefined;
  /** Not for requests that one of the rules of these names counts, which come before it (Envoy `always_consume_default_token_bucket`: false). Absent: for all. */
  readonly unless?: readonly string[] | undefined;
  /** What in turn makes up the key; empty: all requests count together. */
  readonly key: readonly LimitKey[];
  /**
   * For keys without an override; absent: those are not limited. With the store `rls` the service knows the limits: absent, or a fixed window of one of its
   * units (`RLS_UNIT_MS`), which is told to it with the descriptor, in place of what it has.
   */
  readonly limit?: Limit | undefined;
  /**
   * For certain keys, the first that fits: a value per entry of `key`; undefined is any value. `unlimited` lets them through, and meters them; `skip`: the
   * rule is not for them, as it is not for keys without an override where `limit` is absent.
   */
  readonly overrides?:
    | readonly { readonly values: readonly (string | undefined)[]; readonly limit: Limit | 'unlimited' | 'skip' }[]
    | undefined;
  /** `shadow`: counted and told in the metrics, but nothing is refused, delayed or said in a header. */
  readonly mode: 'enforce' | 'shadow';
  /** Requests beyond the limit wait for their turn. Absent: they are refused at once. Not with `rls`. */
  readonly queue?:
    | {
        /** Milliseconds that a request waits at most, 1 to 600_000; one whose turn comes later is refused at once. */
        readonly maxWaitMs: number;
        /** Requests that wait at most, per key, 1 to 100_000. */
        readonly maxLength: number;
      }
    | undefined;
  readonly store: LimitStoreRef;
  /** When the store does not answer in time: `allow`, `deny`, or `local`: this process counts by itself until it is back. */
  readonly onStoreFailure: 'allow' | 'deny' | 'local';
  /** What a request counts. Absent: 1. From a header of the request (`hits_addend`): a whole number from 1 to 1_000_000, with `rls` from 0; 1 where it is none. */
  readonly cost?: number | { readonly header: string } | undefined;
  /** Uses that were let through are metered by key and plan, for export (`mesh.usage()`): of requests that the rule is for. Absent: they are not. */
  readonly meter?: { readonly plan: string | undefined } | undefined;
}

/** What a route says of limits, of all policies that meet it. All rules must let a request through. */
export interface RouteLimits {
  readonly rules: readonly LimitRule[];
  /** HTTP status of a refusal, 400 to 599. Default 429. */
  readonly status: number;
  /** For gRPC. Default 8, RESOURCE_EXHAUSTED; Envoy's without `rate_limited_as_resource_exhausted` is what `status` means to gRPC: 14, UNAVAILABLE, of 429. */
  readonly grpcStatus: number;
  /**
   * What replies say. `x-ratelimit-limit/remaining/reset`: the reset as `epoch` seconds (the widespread form) or `seconds` from now (Envoy
   * `DRAFT_VERSION_03`). `standard`: the fields `RateLimit-Policy` and `RateLimit` (IETF httpapi draft). `xEnvoyRateLimited`: `x-envoy-ratelimited: true` in
   * refusals, but where a store did not answer; callers then repeat them by the retry condition `envoy-ratelimited` alone.
   */
  readonly headers: {
    readonly xRateLimit: 'off' | 'epoch' | 'seconds';
    readonly standard: boolean;
    readonly xEnvoyRateLimited: boolean;
  };
  /** Added to refusals, but where a store did not answer (Envoy `response_headers_to_add`). Absent: none. */
  readonly refusalHeaders?: readonly { readonly name: string; readonly value: string }[] | undefined;
  /** HTTP status where a store did not answer and its rule says `deny` (Envoy `status_on_error`); to gRPC it is what that means there. Absent: `status`. */
  readonly failureStatus?: number | undefined;
}

export const DEFAULT_LIMIT_REPLY: Omit<RouteLimits, 'rules'> = {
  status: 429,
  grpcStatus: 8,
  headers: { xRateLimit: 'epoch', standard: true, xEnvoyRateLimited: true },
};
