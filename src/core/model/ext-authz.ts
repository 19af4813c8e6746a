import type { StringMatch } from './match.js';

/** What the authorization service is shown of a request's body (Envoy `BufferSettings`). */
export interface CheckedBody {
  readonly maxBytes: number;
  /** A longer one is shown in part; else the request is refused with 413. */
  readonly partial: boolean;
  /** `raw_body` in place of `body`, which must be UTF-8. */
  readonly asBytes: boolean;
}

/** A service that decides about requests, and how it is asked (Envoy `ext_authz`). */
export type AuthzService =
  | {
      readonly kind: 'grpc';
      /** Name of the cluster that answers. */
      readonly cluster: string;
      /** Milliseconds. Default 200 (Envoy). */
      readonly timeoutMs: number;
      /** Header fields, in lower case, besides. */
      readonly metadata: readonly { readonly name: string; readonly value: string }[];
    }
  | {
      readonly kind: 'http';
      readonly cluster: string;
      readonly timeoutMs: number;
      /** What it is asked under: host and scheme. */
      readonly host: string;
      readonly scheme: 'http' | 'https';
      /** In front of the request's own path. */
      readonly pathPrefix: string;
      readonly headersToAdd: readonly { readonly name: string; readonly value: string }[];
      /** Headers of its answer that go with the request, in place of the client's or beside them; and those that the client gets, when it is refused or let through. */
      readonly upstreamHeaders: readonly StringMatch[];
      readonly upstreamHeadersToAppend: readonly StringMatch[];
      /** Empty: all of them, but for those that are of the connection. */
      readonly clientHeaders: readonly StringMatch[];
      readonly clientHeadersOnSuccess: readonly StringMatch[];
    };

/** External authorization as a route of a server has it: one filter. */
export interface ExtAuthz {
  readonly name: string;
  readonly service: AuthzService;
  /** What becomes of requests while the service gives no answer (`failure_mode_allow`). Default `deny`. */
  readonly onFailure: 'deny' | 'allow';
  /** `x-envoy-auth-failure-mode-allowed: true` goes with requests that are let through so. */
  readonly failureHeader: boolean;
  /** Status of a refusal for want of an answer. Default 403 (Envoy `status_on_error`). */
  readonly failureStatus: number;
  /** Undefined: the body is not shown. */
  readonly body: CheckedBody | undefined;
  /** Which headers the service is shown: for gRPC all when empty; for HTTP Host, Method, Path, Content-Length and Authorization in any case. */
  readonly allowedHeaders: readonly StringMatch[];
  readonly disallowedHeaders: readonly StringMatch[];
  /** Share of the requests that are asked about, in [0, 1]. */
  readonly share: number;
  /** Whether the others are refused (`deny_at_disable`). */
  readonly denyOthers: boolean;
  /** `context_extensions` of the route. */
  readonly context: Readonly<Record<string, string>>;
}

/** "If not set, … 200ms" - ext_authz.proto. */
export const DEFAULT_CHECK_TIMEOUT_MS = 200;
