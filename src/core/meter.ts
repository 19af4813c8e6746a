import type { Call } from './call.js';
import type { Outcome } from './classify.js';
import type { IdentityTrouble, MeshError } from './errors.js';
import type { Reply, ReplyEnd } from './reply.js';
import type { TlsRefused } from './tls.js';

/** What is told when a call or an attempt is over. */
export interface Finished {
  readonly call: Call;
  readonly reply: Reply | undefined;
  readonly end: ReplyEnd | undefined;
  /** Why it failed, when it did not end with a whole reply. */
  readonly error: MeshError | undefined;
  readonly outcome: Outcome;
  readonly durationMs: number;
}

/** Things that happen outside calls, counted and published on `diagnostics_channel` as `mesh:<kind>`. */
export type MeshEvent =
  | { readonly kind: 'xds:update'; readonly type: string; readonly resources: number }
  | { readonly kind: 'xds:nack'; readonly type: string; readonly detail: string }
  | { readonly kind: 'xds:connected' | 'xds:disconnected'; readonly server: string; readonly detail?: string }
  | { readonly kind: 'config:rejected'; readonly source: string; readonly detail: string }
  | { readonly kind: 'config:changed'; readonly source: string }
  | { readonly kind: 'retry'; readonly cluster: string; readonly reason: string }
  | { readonly kind: 'retry:budget-spent'; readonly cluster: string }
  | { readonly kind: 'hedge'; readonly cluster: string }
  /** A breaker changes its state. `reason`: what tripped it, or `probe` that failed. */
  | {
      readonly kind: 'breaker:open';
      readonly cluster: string;
      readonly reason: 'consecutive' | 'success-rate' | 'probe';
    }
  | { readonly kind: 'breaker:half-open' | 'breaker:close'; readonly cluster: string }
  | {
      readonly kind: 'fallback';
      readonly cluster: string;
      readonly by: 'service' | 'stale' | 'static' | 'function';
      /** Code of the error in whose place it answered. */
      readonly reason: string;
    }
  /** The caller of a request had given up before its handler ran. `refused`: it did not run; else it ran all the same (src/server/expired.ts). */
  | { readonly kind: 'deadline:expired'; readonly protocol: 'http' | 'grpc'; readonly refused: boolean }
  /** A request was refused because the server is full (src/server/shedding/shedding.ts). */
  | {
      readonly kind: 'shed';
      readonly protocol: 'http' | 'grpc';
      readonly priority: 'high' | 'default' | 'batch';
      readonly reason: 'concurrency' | 'event-loop';
    }
  /** A rule of a limit decided against a request. `shadow`: it went on all the same. `reason` `store`: nobody could be asked. */
  | {
      readonly kind: 'limit:refused';
      readonly rule: string;
      readonly protocol: 'http' | 'grpc';
      readonly shadow: boolean;
      readonly reason: 'limit' | 'queue-full' | 'store';
    }
  /** Requests that waited in line for a limit, once each, when it is their turn. */
  | { readonly kind: 'limit:queued'; readonly rule: string; readonly waitedMs: number }
  /** A request that a metered rule let through; `units`: what it counted. */
  | { readonly kind: 'quota:used'; readonly plan: string; readonly units: number }
  /** A store of limits stopped answering, or does again. */
  | { readonly kind: 'limit:store-lost' | 'limit:store-back'; readonly store: string }
  /** Something went wrong on purpose; `overflow`: it would have, and `max_active_faults` were under way already. */
  | {
      readonly kind: 'fault';
      readonly policy: string;
      readonly fault: 'delay' | 'abort' | 'reset' | 'throttle' | 'truncate' | 'overflow';
    }
  /** `reason`: the guard that was crossed, or `time`. */
  | {
      readonly kind: 'experiment:stopped';
      readonly policy: string;
      readonly reason: 'success-rate' | 'latency' | 'time';
    }
  /** A server closed a connection that may not come in, or did not get as far (src/server/tls/handshakes.ts). */
  | { readonly kind: 'tls:refused'; readonly reason: TlsRefused }
  /** An authorization filter has decided about a request. `policy`: the one that matched, '' for none; `shadow`: a dry run. */
  | {
      readonly kind: 'authz';
      readonly decision: 'allow' | 'deny';
      readonly policy: string;
      readonly shadow: boolean;
    }
  /** The same, for who keeps a record (gRFC A59). `filter`: name of the filter; `matchedRule`: of the policy. */
  | {
      readonly kind: 'authz:audit';
      /** Path without query, as it was judged; of gRPC the method. */
      readonly rpcMethod: string;
      /** HTTP method. */
      readonly method: string;
      /** IP address of the client, as far as proxies in front are trusted; '' where it is not known. */
      readonly sourceAddress: string;
      readonly principal: string;
      /** Of the request's `traceparent`; '' for none. */
      readonly traceId: string;
      readonly filter: string;
      readonly matchedRule: string;
      readonly authorized: boolean;
      readonly shadow: boolean;
    }
  /** A request was refused for its token. `reason`: what was wrong with it (src/identity/authn/failure.ts). */
  | { readonly kind: 'authn:refused'; readonly protocol: 'http' | 'grpc'; readonly reason: string }
  | { readonly kind: 'mirror'; readonly cluster: string }
  | {
      readonly kind: 'mirror:dropped';
      readonly cluster: string;
      readonly reason: 'no-cluster' | 'overflow' | 'body-too-long';
    }
  | { readonly kind: 'circuit:open'; readonly cluster: string; readonly limit: string }
  /** Outlier detection takes an endpoint out, and back. `reason` of an ejection: Envoy's `OutlierEjectionType` in lower case, `consecutive_5xx`. */
  | { readonly kind: 'outlier:ejected'; readonly cluster: string; readonly endpoint: string; readonly reason: string }
  | { readonly kind: 'outlier:unejected'; readonly cluster: string; readonly endpoint: string }
  /** A workload has a new certificate. `notAfter`: wall-clock milliseconds. */
  | {
      readonly kind: 'identity:rotate';
      readonly source: string;
      readonly spiffeId: string | undefined;
      readonly notAfter: number;
    }
  /** A source of identity cannot be read or reached, or refuses (`IdentityTrouble`). `kept`: what was known before stays in use; else there is none yet. */
  | {
      readonly kind: 'identity:failed';
      readonly source: string;
      readonly reason: IdentityTrouble;
      readonly kept: boolean;
      readonly detail: string;
    }
  /** No new certificate has come though this share of the lifetime of the present one is `used`: 0.7, 0.8, 0.9, and 1 when it has expired. */
  | {
      readonly kind: 'identity:expiring';
      readonly source: string;
      readonly spiffeId: string | undefined;
      readonly used: number;
      readonly expiresInMs: number;
      readonly detail: string;
    }
  /** The certificate authority has certified a workload. `attestor`: by whom it was found out who it is. `notAfter`: wall-clock milliseconds. */
  | {
      readonly kind: 'ca:issued';
      readonly attestor: string;
      readonly spiffeId: string;
      readonly serial: string;
      readonly notAfter: number;
    }
  /** The certificate authority has refused a request. `attestor`: `none` where nobody knew what was shown. */
  | { readonly kind: 'ca:refused'; readonly attestor: string; readonly reason: string }
  /** An active check (`http`, `grpc`, `tcp`) or the health watch (`watch`) has changed its mind of an endpoint. */
  | {
      readonly kind: 'health:changed';
      readonly cluster: string;
      readonly endpoint: string;
      readonly by: 'http' | 'grpc' | 'tcp' | 'watch';
      readonly healthy: boolean;
    };

/** Where everything that is measured goes. `observability/` implements it; folders that measure are handed one. Must not throw. */
export interface Meter {
  callFinished(finished: Finished): void;
  attemptFinished(finished: Finished): void;
  event(event: MeshEvent): void;
  /** A value read when somebody asks (scraped), never pushed. Returns the way to remove it. */
  gauge(name: string, labels: Readonly<Record<string, string>>, read: () => number): () => void;
  /** Counts `value` in the histogram of that name; its boundaries are those of `METRICS` in docs/telemetry.md. */
  record(name: string, labels: Readonly<Record<string, string>>, value: number): void;
}

/** One span per attempt, as OpenTelemetry's HTTP conventions have it. */
export interface AttemptSpan {
  finished(finished: Finished): void;
}

export interface Tracer {
  /** Starts a span for the attempt and writes the trace context into `call.headers`; undefined when nothing is recorded. */
  attempt(call: Call): AttemptSpan | undefined;
}

export const noMeter: Meter = {
  callFinished() {},
  attemptFinished() {},
  event() {},
  gauge: () => () => {},
  record() {},
};
