import type { Claims } from './ambient.js';
import type { Body } from './body.js';
import type { CallChoices } from './call-policy.js';
import { Cancellation } from './cancellation.js';
import type { MeshError, ResponseFlag } from './errors.js';
import { copyHeaders, type HeaderFields } from './headers.js';

/** `grpc` is HTTP/2 with gRPC's framing and trailers; `http` is everything else. */
export type Protocol = 'http' | 'grpc';
export type Scheme = 'http' | 'https';
/** What a call counts against where limits or load are partitioned. `batch` waits for nobody and is shed first. */
export type Priority = 'high' | 'default' | 'batch';

/** Changes the headers of a reply that takes the place of an error. */
export type ReplyChange = (reply: { readonly status: number; readonly headers: HeaderFields }) => void;

/** What is told of a call once it is over. One per call, shared by its attempts; filters write, `observe` reads. */
export class CallRecord {
  /** Monotonic milliseconds; written by observe. */
  startedAt = 0;
  /** Attempts made; 0 when the call never got as far. */
  attempts = 0;
  /** Name of the route, cluster and endpoint (`ip:port`) that the last attempt took. */
  route: string | undefined;
  cluster: string | undefined;
  endpoint: string | undefined;
  /** Version label of the endpoint that answered (`version` in endpoint metadata). */
  version: string | undefined;
  /** W3C trace id (32 hex digits) and span id of the call, when there is one; written by the tracer. */
  traceId: string | undefined;
  spanId: string | undefined;
  /** Envoy's response flags in the order they were raised. */
  flags: ResponseFlag[] | undefined;
  /** That of the whole call, where several attempts are under way at once and this is one's own. */
  whole: CallRecord | undefined;
  /** The kind of fallback that answered in place of the destination. */
  fallback: 'service' | 'stale' | 'static' | 'function' | undefined;

  /** What the route changes about replies, innermost first: for a face that answers a failure with a reply of its own. Written when the call fails. */
  replyChanges: ReplyChange[] | undefined;

  raise(flag: ResponseFlag): void {
    this.flags ??= [];
    if (!this.flags.includes(flag)) this.flags.push(flag);
  }

  changeReply(change: ReplyChange): void {
    this.replyChanges ??= [];
    this.replyChanges.push(change);
  }
}

/** The connection that a call came in by, when it is passed on by a proxy. Addresses are `ip:port`, IPv6 in brackets. */
export interface Downstream {
  readonly remote: string | undefined;
  readonly local: string | undefined;
  readonly protocol: 'HTTP/1.0' | 'HTTP/1.1' | 'HTTP/2';
}

export interface CallInit {
  readonly protocol: Protocol;
  readonly scheme: Scheme;
  /** The destination as the application wrote it: `reviews`, `reviews:8080`, `reviews.default.svc.cluster.local`. */
  readonly authority: string;
  /** What the configuration is asked for when it is not the authority: a gRPC target, `xds://authority/reviews` (gRFC A47). */
  readonly target?: string | undefined;
  readonly method: string;
  /** Path and query, from `/` on. For gRPC `/package.Service/Method`. */
  readonly path: string;
  readonly headers: HeaderFields;
  readonly body?: Body | undefined;
  /** The application's own time limit in milliseconds from now, if it set one. */
  readonly timeoutMs?: number | undefined;
  /**
   * Whether the call may wait for a destination that is not there yet: gRPC's wait_for_ready. Default false: a call still waits for
   * the first configuration, but fails when it says that nothing can serve it.
   */
  readonly waitForReady?: boolean;
  /** True or false overrides what the method says about safe repetition. */
  readonly idempotent?: boolean | undefined;
  /** Absent: that of the request being served, else `default`. */
  readonly priority?: Priority | undefined;
  /** Absent: the application of this process makes the call. */
  readonly downstream?: Downstream | undefined;
  /** What the verified token of the request says that is passed on by a proxy. Absent: that of the request being served, if there is one. */
  readonly claims?: Claims | undefined;
  /** What the caller says of retries, hedging and fallbacks. Absent: what the route says. */
  readonly policy?: CallChoices['policy'];
  readonly fallback?: CallChoices['fallback'];
  /** The mesh itself asks a rate limit service, which is not asked about that. Default false. Never read from what a client sent. */
  readonly asksLimits?: boolean | undefined;
}

/** One call, or one attempt of it: what travels down the stack. */
export class Call {
  readonly protocol: Protocol;
  readonly scheme: Scheme;
  readonly authority: string;
  readonly target: string | undefined;
  readonly method: string;
  /** Rewritten by route filters only. */
  path: string;
  /** Host or `:authority` that the server is shown; rewritten by route filters only. */
  host: string;
  /**
   * The server is shown the picked endpoint's hostname instead of this host (`auto_host_rewrite`), which goes along in `x-forwarded-host` when `forward` is
   * set; written by route filters only.
   */
  hostFromEndpoint: { readonly host: string; readonly forward: boolean } | undefined;
  /** Written by route filters, the tracer and the codec; each attempt after the first has a copy. */
  headers: HeaderFields;
  body: Body | undefined;
  readonly timeoutMs: number | undefined;
  readonly waitForReady: boolean;
  readonly idempotent: boolean | undefined;
  /** Written by route filters, where the route says one. Undefined: `default`. */
  priority: Priority | undefined;
  readonly downstream: Downstream | undefined;
  readonly claims: Claims | undefined;
  readonly policy: CallChoices['policy'];
  readonly fallback: CallChoices['fallback'];
  readonly asksLimits: boolean;
  /** Monotonic milliseconds after which nobody waits any more; Infinity for none. Written by the deadline filter, only downwards. */
  deadline = Number.POSITIVE_INFINITY;
  /** Monotonic milliseconds by which the head of the reply must be there, where there is no deadline; Infinity for none. Written by the deadline filter. */
  headBy = Number.POSITIVE_INFINITY;
  /** Cancels this call, or this attempt only when `attempt` is set. */
  cancellation = new Cancellation();
  record = new CallRecord();
  /** It may be sent again on a new connection when its pooled one was closed as it was used, though its method says no. Written by retry and hedge. */
  resendable = false;
  /** Number of the attempt that this is, from 1; 0 before the first. Written by retry. */
  attempt = 0;
  /** Keys of endpoints that earlier attempts went to: balancers go elsewhere when they can. Written by retry. */
  tried: readonly string[] | undefined;
  /** How often one of `tried` is drawn anew before it will do, as Envoy does; undefined: as long as there is another. Written by retry. */
  redraws: number | undefined;
  /** For balancers that hash: 64 bits, from the route's hash policies; undefined: random. Written by route filters. */
  hash: bigint | undefined;
  /** Key of the endpoint that the caller's session is bound to. Written by route filters. */
  affinity: string | undefined;
  /** Labels that the endpoint must have. Written by route filters. */
  subset: Readonly<Record<string, string>> | undefined;
  /** Only the endpoint of `affinity` will do. Written by route filters. */
  strictAffinity = false;
  /**
   * Told when the connection that carries the call takes no new ones: GOAWAY, or its time is over. For streams that do not end by themselves, and would
   * hold it open; written by whoever makes one and gives it to a transport.
   */
  onDraining: (() => void) | undefined;

  constructor(init: CallInit) {
    this.protocol = init.protocol;
    this.scheme = init.scheme;
    this.authority = init.authority;
    this.target = init.target;
    this.host = init.authority;
    this.method = init.method;
    this.path = init.path;
    this.headers = init.headers;
    this.body = init.body;
    this.timeoutMs = init.timeoutMs;
    this.waitForReady = init.waitForReady ?? false;
    this.idempotent = init.idempotent;
    this.priority = init.priority;
    this.downstream = init.downstream;
    this.claims = init.claims;
    this.policy = init.policy;
    this.fallback = init.fallback;
    this.asksLimits = init.asksLimits ?? false;
  }

  /** A call for attempt `number`, with a switch of its own, so that a lost attempt can be cancelled and the call go on. */
  attemptOf(number: number, tried: readonly string[] | undefined): Call {
    const call = new Call(this);
    call.host = this.host;
    call.hostFromEndpoint = this.hostFromEndpoint;
    call.headers = number === 1 ? this.headers : copyHeaders(this.headers);
    call.deadline = this.deadline;
    call.record = this.record;
    call.attempt = number;
    call.tried = tried;
    call.resendable = this.resendable;
    call.hash = this.hash;
    call.affinity = this.affinity;
    call.subset = this.subset;
    call.strictAffinity = this.strictAffinity;
    return call;
  }

  cancel(reason: MeshError): void {
    this.cancellation.cancel(reason);
  }
}
