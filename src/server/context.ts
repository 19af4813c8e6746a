import type { Ambient } from '../core/ambient.js';
import { Cancellation } from '../core/cancellation.js';
import { type Clock, systemClock } from '../core/clock.js';
import { CancelledError } from '../core/errors.js';
import { isRetried } from '../core/retry-mark.js';
import type { OrcaOptions } from './orca/reporting.js';
import type { RequestMetrics } from './orca/request-metrics.js';
import { expectedTimeoutMs, grpcTimeoutMs } from './time-left.js';
import { validBaggage, validTraceparent, validTracestate } from './trace-headers.js';

export interface InboundOptions {
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Whether replies tell clients how loaded this server is (ORCA, gRFC A51), for balancing by load. Default: they do not. */
  readonly orca?: boolean | OrcaOptions;
}

/** Header fields as Node gives them. */
export type InboundHeaders = Readonly<Record<string, string | string[] | undefined>>;

/**
 * What a request brings for the calls made while it is served: how long its caller still waits, whether it is still there, and the trace
 * it belongs to. The middleware of each framework makes one per request and runs the handler inside it (`withAmbient`).
 */
export class InboundContext implements Ambient {
  readonly cancellation = new Cancellation();
  /** Where the handler records what the request costs; undefined where load is not reported. Written by the middleware, once. */
  metrics: RequestMetrics | undefined;

  constructor(
    readonly deadline: number,
    readonly traceparent: string | undefined,
    readonly tracestate: string | undefined,
    readonly baggage: string | undefined,
    readonly retried = false,
  ) {}

  /** The caller went away before it had its answer: ends the calls that were made for it. */
  callerGone(): void {
    this.cancellation.cancel(new CancelledError('the caller of the request being served went away', 'maybe'));
  }
}

/**
 * Reads the headers of a request. `x-envoy-expected-rq-timeout-ms` is what Envoy and the mesh send over HTTP, `grpc-timeout` over gRPC; of
 * two the shorter counts. A header that is not valid is as good as none: an unreadable deadline must not fail a request.
 */
export function inboundContext(headers: InboundHeaders, clock: Clock = systemClock): InboundContext {
  const left = Math.min(
    grpcTimeoutMs(single(headers['grpc-timeout'])) ?? Number.POSITIVE_INFINITY,
    expectedTimeoutMs(single(headers['x-envoy-expected-rq-timeout-ms'])) ?? Number.POSITIVE_INFINITY,
  );
  return contextOf(headers, clock.now() + left);
}

/** The same with a deadline that is known already, in monotonic milliseconds. */
export function contextOf(headers: InboundHeaders, deadline: number): InboundContext {
  const traceparent = validTraceparent(single(headers.traceparent));
  // "If the vendor failed to parse traceparent, it MUST NOT attempt to parse tracestate."
  const tracestate = traceparent === undefined ? undefined : validTracestate(joined(headers.tracestate));
  const baggage = validBaggage(joined(headers.baggage));
  return new InboundContext(deadline, traceparent, tracestate, baggage, isRetried(headers));
}

/** A field that may stand only once; Node joins repeated ones with a comma, and then no format of ours fits. */
const single = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'string' ? value : value?.length === 1 ? value[0] : undefined;

const joined = (value: string | string[] | undefined): string | undefined =>
  typeof value === 'object' ? value.join(',') : value;
