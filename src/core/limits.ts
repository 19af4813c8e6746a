import type { Cancellation } from './cancellation.js';
import type { Protocol, Scheme } from './call.js';
import type { HeaderFields } from './headers.js';
import type { Limit } from './model/limit.js';

/** What of a request limits look at: of one that leaves (a `Call` has most of it) or of one that came in. */
export interface LimitRequest {
  readonly protocol: Protocol;
  readonly scheme: Scheme;
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly host: string;
  readonly headers: HeaderFields;
  /** The caller's address, without a port; undefined: this process itself. */
  readonly remote: string | undefined;
  /** SPIFFE ID of the caller, verified; undefined: not known. */
  readonly principal: string | undefined;
  /** Of the caller's verified token; undefined: there is none. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
  readonly route: string | undefined;
  /** The cluster that the call goes to; on a server undefined. */
  readonly destination: string | undefined;
  /** Monotonic milliseconds; who waits in a line leaves it then. */
  readonly deadline: number;
  readonly cancellation: Cancellation | undefined;
  /** It is this mesh's own question to a rate limit service, which no such service is asked about. Absent: it is not. */
  readonly asksLimits?: boolean | undefined;
}

/** What one count says after it was asked. Times are milliseconds from now. */
export interface LimitState {
  readonly allowed: boolean;
  readonly limit: number;
  /** Whole requests that would still be let through now. */
  readonly remaining: number;
  /** Until the count is as if nothing had been (token bucket: full; window: over). */
  readonly resetMs: number;
  /** Until the next of this cost would be let through; 0 when it is allowed. Infinity: never. */
  readonly retryAfterMs: number;
}

/** Keeps counts for keys: in this process, or somewhere that must be asked. */
export interface LimitStore {
  /**
   * Takes `cost` from the count of `key` under `limit`, or nothing when there is not enough. A promise of a store that must be asked never takes longer
   * than its declared wait, and rejects when there is no answer by then. `key` is unique across rules.
   */
  take(key: string, limit: Limit, cost: number): LimitState | Promise<LimitState>;
  /**
   * Gives back what was taken for a request that another rule refused; `taken` is what `take` said, since a window that is over gets nothing back.
   * Best effort.
   */
  giveBack?(key: string, limit: Limit, cost: number, taken: LimitState): void;
  close(): Promise<void> | void;
}

/** What of one request a rate limit service is asked: one list of entries, in order, which it looks up as a whole. */
export interface LimitDescriptor {
  readonly entries: readonly (readonly [key: string, value: string])[];
  /** What the request counts; 0 looks and takes nothing. */
  readonly hits: number;
  /** A fixed window of one of its units, in place of the limit that the service has (`RateLimitDescriptor.limit`). Absent: that one. */
  readonly limit?: Limit | undefined;
}

/** What a rate limit service says of one descriptor. */
export interface ServiceLimitState extends LimitState {
  /** The limit as the service has it: a fixed window. Undefined: it has none for the descriptor, and the numbers are Infinity. */
  readonly of: Limit | undefined;
  /** What the service calls it. */
  readonly name: string | undefined;
}

export interface LimitServiceAnswer {
  readonly allowed: boolean;
  /** Of each descriptor, in the order in which they were asked. A service may say less than that: then the rest is missing. */
  readonly states: readonly ServiceLimitState[];
  /** What the service wants added to the reply, and to the request that goes on. Undefined: nothing. */
  readonly replyHeaders: HeaderFields | undefined;
  readonly requestHeaders: HeaderFields | undefined;
  /** What the service wants in the body of a refusal. Undefined: nothing. */
  readonly body: Uint8Array | undefined;
}

/** A rate limit service (`envoy.service.ratelimit.v3.RateLimitService`): it knows the limits itself, and is asked for all descriptors of a request at once. */
export interface RateLimitService {
  /** Rejects when there is no good answer within `timeoutMs`; never later. */
  shouldRateLimit(
    domain: string,
    descriptors: readonly LimitDescriptor[],
    timeoutMs: number,
  ): Promise<LimitServiceAnswer>;
}

/** What the limits say of a request. */
export type LimitDecision =
  | {
      readonly kind: 'allowed';
      /** For the reply; undefined: nothing to say. */
      readonly headers: HeaderFields | undefined;
      /** For the request that goes on: what a rate limit service asks for. Absent: nothing. */
      readonly requestHeaders?: HeaderFields | undefined;
    }
  | {
      readonly kind: 'refused';
      /** Name of the rule. */
      readonly rule: string;
      /** RL: over the limit. RLSE: the store or service did not answer, and `onStoreFailure` is `deny`. */
      readonly flag: 'RL' | 'RLSE';
      readonly status: number;
      readonly grpcStatus: number;
      /** Undefined: it will not be let through later either, or nobody knows. */
      readonly retryAfterMs: number | undefined;
      readonly headers: HeaderFields;
      /** What a rate limit service wants in the body. Absent: nothing. */
      readonly body?: Uint8Array | undefined;
    };

/** What becomes of one. `gone`: nobody waits for it any more; while it stood in line its caller gave up, its deadline passed, or the mesh was closed. */
export type LimitVerdict = LimitDecision | { readonly kind: 'gone' };

/** The limits of one route, compiled. Decides at once wherever no one has to be asked or waited for. Never rejects. */
export interface RequestLimits {
  check(request: LimitRequest): LimitDecision | Promise<LimitVerdict>;
}

/** A request that was let through, by a rule that is metered. */
export interface Use {
  readonly rule: string;
  /** Undefined: the rule says none. */
  readonly plan: string | undefined;
  /** Names of the entries of the rule's key, and whose request it was: a value for each; undefined for one that was skipped. */
  readonly names: readonly string[];
  readonly key: readonly (string | undefined)[];
  /** What it counted. */
  readonly cost: number;
  /** By which it was decided; undefined where the key is not limited, or a service knows the limit. */
  readonly limit: Limit | undefined;
}

/** Who is told of uses (resilience/quota). */
export interface UseSink {
  used(use: Use): void;
}
