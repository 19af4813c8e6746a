import type { HeaderMatch, StringMatch } from './match.js';
import type { CidrRange } from './server.js';

/**
 * Who may do what: Envoy's `config.rbac.v3.RBAC` as gRFC A41 reads it, and what we add (`time`, `claim`, `request-principal`). Permissions and principals are trees of the same
 * conditions, since most of Envoy's kinds are in both.
 */
export type AuthzCondition =
  /** `and_rules`, `and_ids`; `or_rules`, `or_ids`. Never empty. */
  | { readonly kind: 'and' | 'or'; readonly of: readonly AuthzCondition[] }
  | { readonly kind: 'not'; readonly of: AuthzCondition }
  | { readonly kind: 'any' }
  | { readonly kind: 'header'; readonly header: HeaderMatch }
  /** The canonical path, without query. */
  | { readonly kind: 'path'; readonly match: StringMatch }
  /** This server's end of the connection. */
  | { readonly kind: 'destination-ip'; readonly range: CidrRange }
  | { readonly kind: 'destination-port'; readonly port: number }
  /** `source_ip`, `direct_remote_ip`: the other end of the connection. */
  | { readonly kind: 'peer-ip'; readonly range: CidrRange }
  /** `remote_ip`: the client, where proxies in front are trusted; else the other end of the connection. */
  | { readonly kind: 'remote-ip'; readonly range: CidrRange }
  /** `requested_server_name`; '' on plain connections. */
  | { readonly kind: 'server-name'; readonly match: StringMatch }
  /** `authenticated`; without a name: whoever came by TLS. */
  | { readonly kind: 'authenticated'; readonly name: StringMatch | undefined }
  /** Envoy's dynamic metadata, of which there is none: "guaranteed not to match" (gRFC A41), unless inverted. */
  | { readonly kind: 'metadata'; readonly invert: boolean }
  | { readonly kind: 'time'; readonly window: TimeWindow }
  /** A claim of a verified token; one with several values matches by any of them, one that is not there never does. */
  | { readonly kind: 'claim'; readonly path: readonly string[]; readonly match: StringMatch }
  /** `<iss>/<sub>` of a verified token (Istio `requestPrincipals`). */
  | { readonly kind: 'request-principal'; readonly match: StringMatch };

/** What a clock on the wall of a zone shows, in part. A time that daylight saving leaves out is never; one that it repeats is twice. */
export interface TimeWindow {
  /** IANA name: `Europe/Vienna`. */
  readonly zone: string;
  /** 0 is Sunday; empty: every day. Of a window that goes past midnight: the day on which it begins. */
  readonly weekdays: readonly number[];
  /** Minutes of the day, 0 to 1440: from `from` (included) to `to` (excluded). `to` not after `from`: past midnight, to `to` of the next day. */
  readonly from: number;
  readonly to: number;
  /** `2026-01-31` to `2026-02-28`, both included; any of them. Empty: every date. Of a window that goes past midnight: the date on which it begins. */
  readonly dates: readonly { readonly from: string; readonly to: string }[];
}

export interface RbacPolicy {
  readonly name: string;
  /** Any of these, and any of those. Never empty. */
  readonly permissions: readonly AuthzCondition[];
  readonly principals: readonly AuthzCondition[];
}

/** Where decisions are told (gRFC A59). `stdout`: its StdoutAuditLog; `logger`: the mesh's logger and the channel `mesh:authz:audit`. */
export type AuditLogger = 'stdout' | 'logger';

export interface AuditOptions {
  readonly condition: 'NONE' | 'ON_DENY' | 'ON_ALLOW' | 'ON_DENY_AND_ALLOW';
  readonly loggers: readonly AuditLogger[];
}

export interface RbacRules {
  /** ALLOW: what no policy matches is denied. DENY: what one matches is. LOG: what one matches is told, and goes on. */
  readonly action: 'ALLOW' | 'DENY' | 'LOG';
  /** In the order of their names; the first that matches is the one that decided. */
  readonly policies: readonly RbacPolicy[];
  readonly audit?: AuditOptions | undefined;
}

/** One filter. Each has to let a request through. */
export interface RbacFilter {
  readonly name: string;
  /** Absent: it lets everything through. */
  readonly rules?: RbacRules | undefined;
  /** `shadow_rules`, a dry run: decided and counted, without effect. Absent: none. */
  readonly shadow?: RbacRules | undefined;
}

/** What a route of a server asks of requests. */
export interface RouteAuthorization {
  /** In their order. Empty: a route that is exempt from what other routes of its listener ask. */
  readonly filters: readonly RbacFilter[];
  /** Whether any route of the listener is judged by its path, itself or by being another route: then only canonical paths are served. */
  readonly judgesPath: boolean;
}
