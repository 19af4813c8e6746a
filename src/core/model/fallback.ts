/** What stands in for a reply when there is none to be had. The kinds in order: the first that has an answer gives it. */
export type FallbackConfig =
  /** Another cluster, once; it needs no fallback of its own. */
  | { readonly kind: 'service'; readonly cluster: string }
  /** The last good reply to the same GET or HEAD, or to the same idempotent gRPC message (RFC 5861 `stale-if-error`). */
  | { readonly kind: 'stale'; readonly maxAgeMs: number; readonly maxEntries: number; readonly maxEntryBytes: number }
  | {
      readonly kind: 'static';
      readonly status: number;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
      readonly body: Uint8Array;
      /** For gRPC calls: the status in place of `status`; `body` is then the message. Default 0. */
      readonly grpcStatus: number;
    }
  /** A function that the application gave under this name (`MeshOptions.fallbacks`). */
  | { readonly kind: 'function'; readonly name: string };
