import type { Ambient, Lifetime } from '../core/ambient.js';
import type { Priority, Protocol } from '../core/call.js';
import { Cancellation } from '../core/cancellation.js';
import { isGrpcFailure, isHttpFailure } from '../core/classify.js';
import { type Clock, systemClock } from '../core/clock.js';
import { CancelledError } from '../core/errors.js';
import { PRIORITY_HEADER, parsePriority } from '../core/mesh-headers.js';
import { type HeaderFields, headerFields } from '../core/headers.js';
import { type PeerIdentity, peerOf } from '../core/identity.js';
import { isRetried } from '../core/retry-mark.js';
import type { InboundView } from './view.js';
import type { Caller } from './caller.js';
import type { RequestMetrics } from './orca/request-metrics.js';
import { timeLeftMs } from './time-left.js';
import { isLost } from './tls/carrier.js';
import { validBaggage, validTraceparent, validTracestate } from './trace-headers.js';

/** grpc/doc/statuscodes.md; RFC 9110 section 15.6.5. */
const DEADLINE_EXCEEDED = 4;
const GATEWAY_TIMEOUT = 504;

/** Header fields as Node gives them. */
export type InboundHeaders = Readonly<Record<string, string | string[] | undefined>>;

/**
 * What a request brings for the calls made while it is served: how long its caller still waits, whether it is still there, and the trace
 * it belongs to. The middleware of each framework makes one per request and runs the handler inside it (`withAmbient`).
 */
export class InboundContext implements Ambient, Lifetime {
  readonly cancellation = new Cancellation();
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly baggage: string | undefined;
  readonly retried: boolean;
  /** Where the handler records what the request costs; undefined where load is not reported. Written by the middleware, once. */
  metrics: RequestMetrics | undefined;
  /** Whether the request is served however full the server is. Written before it is let in. */
  exempt = false;
  /** Makes `view`; undefined where no policy looks at requests. Written by the middleware, once. */
  makeView: (() => InboundView) | undefined;
  #view: InboundView | undefined;
  /** How many proxies are believed about who the client is. Written by the middleware, once. */
  trustedHops = 0;
  /** What carries the request: the socket, or what stands for it (`peerOf`). Written by whoever made the context, once. */
  connection: object | undefined;
  /** Who makes the request for whom, as far as somebody has verified it. Written by the gates that ask. */
  caller: Caller | undefined;
  /** What policies have to say in the head of the reply, and to the handler. Written by gates, handed on by the middleware. */
  replyHeaders: HeaderFields | undefined;
  requestHeaders: HeaderFields | undefined;
  /** Parameters of the query that the handler is not to see; undefined: none. */
  takenParams: readonly string[] | undefined;
  #failed = false;
  #timedOut = false;
  #middleware: object | undefined;
  #others: Set<object> | undefined;
  #over = false;
  #onOver: Set<() => void> | undefined;
  #onReleased: (() => void)[] | undefined;

  constructor(
    headers: InboundHeaders,
    /** `Ambient.deadline`, `.allowedMs`, `.priority`. */
    readonly deadline: number,
    readonly allowedMs: number,
    public priority: Priority | undefined,
  ) {
    this.traceparent = validTraceparent(single(headers.traceparent));
    // "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate."
    this.tracestate = this.traceparent === undefined ? undefined : validTracestate(joined(headers.tracestate));
    this.baggage = validBaggage(joined(headers.baggage));
    this.retried = isRetried(headers);
  }

  /** The request itself, for policies that look at it: made for the first that does. */
  get view(): InboundView | undefined {
    this.#view ??= this.makeView?.();
    return this.#view;
  }

  /** Who is at the other end of the connection, by its certificate. */
  get peer(): PeerIdentity | undefined {
    return peerOf(this.connection);
  }

  /** Whether its caller is gone, or the connection, of whom nothing can be found out any more: nobody can tell that such a request may be served. */
  get isLost(): boolean {
    return this.#over || isLost(this.connection);
  }

  /** Whether the answer was a failure of the server's; known when the request is over. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Whether it was that something took too long. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** The status of the answer, HTTP's or gRPC's. Said before the request is over. */
  answered(protocol: Protocol, status: number): void {
    this.#failed = protocol === 'grpc' ? isGrpcFailure(status) : isHttpFailure(status);
    this.#timedOut = status === (protocol === 'grpc' ? DEADLINE_EXCEEDED : GATEWAY_TIMEOUT);
  }

  /** True once for each middleware that the request comes to. */
  meets(middleware: object): boolean {
    if (this.#middleware === undefined) this.#middleware = middleware;
    else if (this.#middleware === middleware || this.#others?.has(middleware) === true) return false;
    else {
      this.#others ??= new Set();
      this.#others.add(middleware);
    }
    return true;
  }

  get lifetime(): Lifetime {
    return this;
  }

  onOver(listener: () => void): void {
    if (this.#over) listener();
    else {
      this.#onOver ??= new Set();
      this.#onOver.add(listener);
    }
  }

  offOver(listener: () => void): void {
    this.#onOver?.delete(listener);
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Runs `listener` when the request no longer takes a place: once `over`, and before that where its reply turns out to be a stream of events. */
  onReleased(listener: () => void): void {
    this.#onReleased ??= [];
    this.#onReleased.push(listener);
    this.onOver(listener);
  }

  /** Whether somebody wants to hear of `released`. */
  get takesPlace(): boolean {
    return this.#onReleased !== undefined;
  }

  /** The reply has begun and goes on for as long as its client likes. */
  released(): void {
    const listeners = this.#onReleased;
    this.#onReleased = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  /** For the handler to see; a field that is there already is replaced. */
  addRequestHeaders(headers: HeaderFields | undefined): void {
    if (headers !== undefined) this.requestHeaders = Object.assign(this.requestHeaders ?? headerFields(), headers);
  }

  /** The answer is out, or nobody waits for it: what was set up for the request can go. */
  over(): void {
    this.#over = true;
    const listeners = this.#onOver;
    this.#onOver = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }

  /** The caller went away before it had its answer: ends the calls that were made for it. */
  callerGone(): void {
    this.cancellation.cancel(new CancelledError('the caller of the request being served went away', 'maybe'));
    this.over();
  }
}

/**
 * Reads the headers of a request. `inmesh-timeout-ms` and `x-envoy-expected-rq-timeout-ms` are what the mesh and Envoy send over HTTP,
 * `grpc-timeout` over gRPC; the shortest counts. A header that is not valid is as good as none: an unreadable deadline must not fail a request.
 * `deadline`: in monotonic milliseconds, where somebody has read it already.
 */
export function inboundContext(
  headers: InboundHeaders,
  clock: Clock = systemClock,
  priority: (headers: InboundHeaders) => Priority | undefined = priorityOf,
  deadline = Number.POSITIVE_INFINITY,
): InboundContext {
  const now = clock.now();
  const left = timeLeftMs((name) => single(headers[name]));
  const allowedMs = Math.min(left, deadline - now);
  return new InboundContext(headers, now + allowedMs, allowedMs, priority(headers));
}

/** How important the request says that it is. */
const priorityOf = (headers: InboundHeaders): Priority | undefined => parsePriority(single(headers[PRIORITY_HEADER]));

/** A field that may stand only once; Node joins repeated ones with a comma, and then no format of ours fits. */
const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.length === 1 ? value[0] : undefined;

const joined = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'object' ? value.join(',') : value;
