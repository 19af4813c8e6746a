import { Metadata, ServerInterceptingCall, type ServerInterceptor, type StatusObject } from '@grpc/grpc-js';
import { withAmbient } from '../core/ambient.js';
import { isGrpcFailure } from '../core/classify.js';
import { type Clock, systemClock } from '../core/clock.js';
import { ORCA_TRAILER } from '../core/orca.js';
import { RETRY_FIELDS } from '../core/retry-mark.js';
import { contextOf, type InboundContext, type InboundHeaders, type InboundOptions } from './context.js';
import { type LoadReporting, loadReporting } from './orca/reporting.js';
import { RequestMetrics } from './orca/request-metrics.js';
import { STREAM_CORE_METRICS } from './orca/stream-core-metrics.js';

/**
 * Interceptor for a grpc-js server: mesh calls made by its handlers carry the call's trace, deadline and cancellation.
 *
 * ```ts
 * new Server({ interceptors: [meshServerInterceptor()] });
 * ```
 */
export function meshServerInterceptor(options: InboundOptions = {}): ServerInterceptor {
  const clock = options.clock ?? systemClock;
  const whole = loadReporting(options.orca);
  return (method, call) => {
    // A stream of reports is no load to report.
    const reporting = method.path === STREAM_CORE_METRICS ? undefined : whole;
    const metrics = reporting === undefined ? undefined : new RequestMetrics();
    // Metadata comes first; a call that is cancelled before has no handler yet.
    let context: InboundContext | undefined;
    // grpc-js tells of a cancellation at the end of every call, also of one that was answered.
    let answered = false;
    const inside = (next: () => void): void => (context === undefined ? next() : withAmbient(context, next));
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            context = contextOf(contextFields(metadata), monotonic(call.getDeadline(), clock));
            context.metrics = metrics;
            inside(() => forward(metadata));
          },
          onReceiveMessage: (message, forward) => inside(() => forward(message)),
          onReceiveHalfClose: inside,
          onCancel() {
            if (answered) return;
            answered = true;
            reporting?.recorder.finished(false);
            context?.callerGone();
          },
        }),
      sendStatus(status, forward) {
        if (!answered) reporting?.recorder.finished(isGrpcFailure(status.code));
        answered = true;
        forward(reporting === undefined || metrics === undefined ? status : withReport(status, reporting, metrics));
      },
    });
  };
}

/** What a server has sent as the end of a call. */
type Status = Pick<StatusObject, 'code' | 'details'> & { readonly metadata?: Metadata | null | undefined };

/** "the ORCA LoadReport protobuf will be encoded in the trailing metadata" - gRFC A51. A report that the application has made itself stays. */
function withReport(status: Status, reporting: LoadReporting, request: RequestMetrics): Status {
  // The handler's own, which it may use for other calls.
  const metadata = status.metadata?.clone() ?? new Metadata();
  if (metadata.get(ORCA_TRAILER).length === 0) metadata.set(ORCA_TRAILER, reporting.trailer(request));
  return { ...status, metadata };
}

/** grpc-js has read `grpc-timeout` by now and taken it out of the metadata; what it gives is wall time. */
function monotonic(deadline: Date | number, clock: Clock): number {
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return at === Number.POSITIVE_INFINITY ? at : clock.now() + at - clock.wallTime();
}

const CONTEXT_FIELDS = ['traceparent', 'tracestate', 'baggage', ...RETRY_FIELDS] as const;

function contextFields(metadata: Metadata): InboundHeaders {
  const headers: Record<string, string[]> = {};
  for (const name of CONTEXT_FIELDS) {
    const values = metadata.get(name).filter((value): value is string => typeof value === 'string');
    if (values.length > 0) headers[name] = values;
  }
  return headers;
}
