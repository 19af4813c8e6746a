import { channel } from 'node:diagnostics_channel';
import { ambient } from '../../core/ambient.js';
import type { Call, CallRecord } from '../../core/call.js';
import type { HeaderFields } from '../../core/headers.js';
import type { AttemptSpan, Finished, Tracer } from '../../core/meter.js';
import type { Random } from '../../core/random.js';
import { type OtelApi, type OtelContext, type OtelSpan, type OtelTracer, SPAN_KIND_CLIENT } from '../otel/api.js';
import type { OtelLink } from '../otel/link.js';
import { type NewTraces, namedParent, OwnPropagation } from './own-propagation.js';
import { finishSpan, spanName, startAttributes } from './span.js';

const attemptStart = channel('mesh:attempt:start');

/**
 * One CLIENT span per attempt when the application has an OpenTelemetry SDK: "Instrumentations SHOULD create an HTTP span for each
 * attempt to send an HTTP request over the wire … SHOULD NOT (also) emit a logical encompassing HTTP client span" - OTel HTTP spans.
 * Without an SDK the trace context is carried on and nothing is recorded.
 */
export class MeshTracer implements Tracer {
  readonly #link: OtelLink;
  readonly #own: OwnPropagation;
  /** Where the spans of a call belong: decided at its first attempt, so that all its attempts are siblings. */
  readonly #parents = new WeakMap<CallRecord, OtelContext>();

  constructor(link: OtelLink, random: Random, newTraces: NewTraces) {
    this.#link = link;
    this.#own = new OwnPropagation(random, newTraces);
  }

  attempt(call: Call): AttemptSpan | undefined {
    const tracer = this.#link.tracer;
    let span: AttemptSpan | undefined;
    if (tracer === undefined) this.#own.write(call);
    else span = this.#record(call, tracer, this.#link.api as OtelApi);
    if (attemptStart.hasSubscribers) attemptStart.publish({ call });
    return span;
  }

  #record(call: Call, tracer: OtelTracer, api: OtelApi): AttemptSpan | undefined {
    const { record } = call;
    const whole = record.whole ?? record;
    let parent = call.attempt > 1 ? this.#parents.get(whole) : undefined;
    if (parent === undefined) {
      parent = this.#parent(call, api);
      this.#parents.set(whole, parent);
    }
    const first = whole.traceId === undefined || whole.spanId === undefined ? undefined : [whole.traceId, whole.spanId];
    const rootless = call.attempt > 1 && first !== undefined && api.trace.getSpanContext(parent) === undefined;
    const span = tracer.startSpan(
      spanName(call),
      {
        kind: SPAN_KIND_CLIENT,
        attributes: startAttributes(call),
        // Attempts without a common parent are traces of their own: a link says that they belong together.
        ...(rootless
          ? { links: [{ context: { traceId: first[0] as string, spanId: first[1] as string, traceFlags: 1 } }] }
          : {}),
      },
      parent,
    );
    const { traceId, spanId } = span.spanContext();
    record.traceId = traceId;
    record.spanId = spanId;
    // What comes beside it refers to it.
    whole.traceId ??= traceId;
    whole.spanId ??= spanId;
    this.#inject(call, span, parent, api);
    return span.isRecording() ? new RecordedAttempt(span) : undefined;
  }

  /** The active span, else the trace named by a header or by the request being served, else none. */
  #parent(call: Call, api: OtelApi): OtelContext {
    const active = api.context.active();
    if (api.trace.getSpanContext(active) !== undefined) return active;
    const named = namedParent(call);
    if (named === undefined) return active;
    const { traceId, spanId, flags, tracestate } = named;
    const state = tracestate === undefined ? {} : { traceState: api.createTraceState(tracestate) };
    return api.trace.setSpanContext(active, { traceId, spanId, traceFlags: flags, isRemote: true, ...state });
  }

  #inject(call: Call, span: OtelSpan, parent: OtelContext, api: OtelApi): void {
    const { headers } = call;
    if (api.propagation.fields().length === 0) {
      // An SDK without a propagator: the W3C header is what every other one understands.
      const { traceId, spanId, traceFlags, traceState } = span.spanContext();
      headers.traceparent = `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, '0')}`;
      const state = traceState?.serialize() ?? '';
      if (state === '') delete headers.tracestate;
      else headers.tracestate = state;
    } else {
      api.propagation.inject(api.trace.setSpan(parent, span), headers, SETTER);
    }
    const baggage = ambient()?.baggage;
    if (baggage !== undefined && headers.baggage === undefined) headers.baggage = baggage;
  }
}

const SETTER = {
  set(carrier: HeaderFields, key: string, value: string): void {
    carrier[key.toLowerCase()] = value;
  },
};

class RecordedAttempt implements AttemptSpan {
  constructor(private readonly span: OtelSpan) {}

  finished(finished: Finished): void {
    finishSpan(this.span, finished);
  }
}

/** `tracing: 'off'`: nothing is recorded and no header is touched. */
export const noTracer: Tracer = { attempt: () => undefined };
