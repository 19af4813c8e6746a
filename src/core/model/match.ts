/** A linear-time regular expression that must match the whole text (RE2 syntax; Envoy `RegexMatcher`). */
export interface SafeRegex {
  readonly source: string;
  matches(text: string): boolean;
  /** Replaces every match; `\1` stands for a group (Envoy `RegexMatchAndSubstitute`). */
  replaceAll(text: string, substitution: string): string;
}

/** Envoy `type.matcher.v3.StringMatcher`. */
export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix' | 'contains'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly regex: SafeRegex };

/** Envoy `route.v3.HeaderMatcher`. `:method`, `:path` and `:authority` name the pseudo-headers. */
export interface HeaderMatch {
  readonly name: string;
  readonly match:
    | StringMatch
    /** Half-open: start ≤ value < end. */
    | { readonly kind: 'range'; readonly start: number; readonly end: number }
    | { readonly kind: 'present'; readonly present: boolean };
  readonly invert: boolean;
  readonly treatMissingAsEmpty: boolean;
}

/** Envoy `route.v3.QueryParameterMatcher`; the first of several values counts. */
export interface QueryMatch {
  readonly name: string;
  readonly match: StringMatch | { readonly kind: 'present'; readonly present: boolean };
}

export type PathMatch =
  | { readonly kind: 'exact' | 'prefix'; readonly value: string; readonly ignoreCase: boolean }
  /** `/a` matches `/a` and `/a/b`, not `/ab` (Gateway API PathPrefix, Envoy `path_separated_prefix`). */
  | { readonly kind: 'segments'; readonly value: string; readonly ignoreCase: boolean }
  | { readonly kind: 'regex'; readonly regex: SafeRegex };

export interface RouteMatch {
  readonly path: PathMatch;
  readonly headers: readonly HeaderMatch[];
  readonly query: readonly QueryMatch[];
  /** Share of requests that match, in [0, 1]; 1 when not set (`runtime_fraction.default_value`). */
  readonly fraction: number;
  /** Only gRPC requests (`grpc: {}`). */
  readonly grpcOnly: boolean;
  /** Who calls; absent: anybody. */
  readonly source?: SourceMatch | undefined;
}

/**
 * What a route asks of the caller (Istio's `sourceLabels`, and its SPIFFE identity). Over xDS: `RouteMatch.dynamic_metadata` of the filter
 * `inmesh.dev/source`, with the path `labels`, name of the label; or the path `principal`. On the client side the caller is this process; on a
 * server's, the peer, of whom nothing but a verified identity is known.
 */
export interface SourceMatch {
  /** All must match; a label that the caller lacks matches nothing. */
  readonly labels: readonly { readonly name: string; readonly match: StringMatch; readonly invert: boolean }[];
  /** SPIFFE ID of the caller, `spiffe://…`; all must match. */
  readonly principals: readonly { readonly match: StringMatch; readonly invert: boolean }[];
}

/** Every request there is. */
export const MATCHES_ALL: RouteMatch = Object.freeze<RouteMatch>({
  path: { kind: 'prefix', value: '', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
});
