import {
  Metadata,
  type ServerInterceptingCallInterface,
  ServerInterceptingCall,
  type ServerInterceptor,
  type StatusObject,
} from '@grpc/grpc-js';
import { withAmbient } from '../core/ambient.js';
import { isGrpcFailure } from '../core/classify.js';
import type { Clock } from '../core/clock.js';
import { ORCA_TRAILER } from '../core/orca.js';
import type { InboundContext, InboundHeaders } from './context.js';
import { Inbound, type InboundOptions } from './inbound.js';
import type { LoadReporting } from './orca/reporting.js';
import { RequestMetrics } from './orca/request-metrics.js';
import { STREAM_CORE_METRICS } from './orca/stream-core-metrics.js';
import type { Refusal } from './refusal.js';

/**
 * Interceptor for a grpc-js server: mesh calls made by its handlers carry the call's trace, deadline, priority and cancellation.
 *
 * ```ts
 * new Server({ interceptors: [meshServerInterceptor({ mesh })] });
 * ```
 */
export function meshServerInterceptor(options?: InboundOptions): ServerInterceptor {
  const inbound = new Inbound(options);
  return (method, call) => {
    // A stream of reports is no load to report.
    const reporting = method.path === STREAM_CORE_METRICS ? undefined : inbound.reporting;
    const metrics = reporting === undefined ? undefined : new RequestMetrics();
    // Metadata comes first; a call that is cancelled before has no handler yet.
    let context: InboundContext | undefined;
    // grpc-js tells of a cancellation at the end of every call, also of one that was answered.
    let answered = false;
    const inside = (next: () => void): void => (context === undefined ? next() : withAmbient(context, next));
    /** Goes on with the call, unless it is not to be served. */
    const admit = (next: () => void): void => {
      const refusal = context && inbound.refusal(context, 'grpc');
      if (refusal === undefined) return inside(next);
      answered = true;
      context?.over();
      refuse(call, refusal);
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            context = inbound.context(headersOf(metadata), 'grpc', monotonic(call.getDeadline(), inbound.clock));
            context.metrics = metrics;
            // A stream takes as long as it likes, and a server that is full is well.
            if (method.responseStream || method.path === HEALTH_CHECK) context.exempt = true;
            admit(() => forward(metadata));
          },
          onReceiveMessage: (message, forward) => inside(() => forward(message)),
          // The handler of a single message runs now: that may have been long in coming.
          onReceiveHalfClose: method.requestStream ? inside : admit,
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
        context?.over();
        forward(reporting === undefined || metrics === undefined ? status : withReport(status, reporting, metrics));
      },
    });
  };
}

/** "grpc.health.v1.Health" - grpc/doc/health-checking.md. */
const HEALTH_CHECK = '/grpc.health.v1.Health/Check';

function refuse(call: ServerInterceptingCallInterface, { grpcStatus, message, retryAfterMs }: Refusal): void {
  const metadata = new Metadata();
  if (retryAfterMs !== undefined) metadata.set('grpc-retry-pushback-ms', String(Math.ceil(retryAfterMs)));
  call.sendStatus({ code: grpcStatus, details: message, metadata });
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

/** Metadata as header fields. Binary ones say nothing to the mesh. */
function headersOf(metadata: Metadata): InboundHeaders {
  const headers: Record<string, string[]> = Object.create(null);
  for (const name of Object.keys(metadata.getMap())) {
    const values = metadata.get(name).filter((value): value is string => typeof value === 'string');
    if (values.length > 0) headers[name] = values;
  }
  return headers;
}
