import { ambient } from '../../core/ambient.js';
import type { Call } from '../../core/call.js';
import { headerValue } from '../../core/headers.js';
import type { Random } from '../../core/random.js';
import { newTrace, parseTraceparent, type TraceParent } from '../../core/traceparent.js';

/** What happens to a call that belongs to no trace, in a process without an OpenTelemetry SDK. */
export type NewTraces = 'sampled' | 'unsampled' | 'off';

/**
 * Carries the trace context on when no SDK does. A trace that exists is passed on as it is: nothing here records a span, and a parent
 * that nobody recorded would tear the trace apart ("forward unmodified" - W3C Trace Context, 3.4). Only a call without one begins one.
 */
export class OwnPropagation {
  constructor(
    private readonly random: Random,
    private readonly newTraces: NewTraces,
  ) {}

  /** Writes `traceparent`, `tracestate` and `baggage`, and the ids for the log. */
  write(call: Call): void {
    const { headers, record } = call;
    const context = ambient();
    if (context?.baggage !== undefined && headers.baggage === undefined) headers.baggage = context.baggage;

    const own = headers.traceparent;
    if (own !== undefined) {
      const parent = typeof own === 'string' ? parseTraceparent(own) : undefined;
      if (parent !== undefined) {
        record.traceId = parent.traceId;
        record.spanId = parent.spanId;
        return;
      }
      // "If parsing fails, the vendor creates a new traceparent header and deletes the tracestate."
      delete headers.traceparent;
      delete headers.tracestate;
    }

    const inherited = context?.traceparent;
    if (inherited !== undefined) {
      if (context?.tracestate !== undefined) headers.tracestate = context.tracestate;
      headers.traceparent = inherited;
      record.traceId = inherited.slice(3, 35);
      record.spanId = inherited.slice(36, 52);
    } else if (this.newTraces !== 'off') {
      const { traceparent, traceId, spanId } = newTrace(this.random, this.newTraces === 'sampled');
      headers.traceparent = traceparent;
      record.traceId = traceId;
      record.spanId = spanId;
    }
  }
}

/** The trace that a call belongs to by its headers or by the request being served. */
export interface NamedParent extends TraceParent {
  readonly tracestate: string | undefined;
}

/** The application's word counts first, then that of the request being served. */
export function namedParent(call: Call): NamedParent | undefined {
  const own = headerValue(call.headers, 'traceparent');
  const parent = own === undefined ? undefined : parseTraceparent(own);
  if (parent !== undefined) return { ...parent, tracestate: headerValue(call.headers, 'tracestate') };
  const context = ambient();
  const inherited = context?.traceparent === undefined ? undefined : parseTraceparent(context.traceparent);
  return inherited === undefined ? undefined : { ...inherited, tracestate: context?.tracestate };
}
