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
import type { HeaderFields } from '../core/headers.js';
import type { InboundContext } from './context.js';
import type { Passage } from './gate.js';
import { HEALTH_CHECK } from './shedding/places.js';
import { GrpcView, textFields } from './grpc-view.js';
import { Inbound, type InboundOptions } from './inbound.js';
import type { LoadReporting } from './orca/reporting.js';
import { RequestMetrics } from './orca/request-metrics.js';
import { grpcSocket } from './tls/grpc-ends.js';
import { STREAM_CORE_METRICS } from './orca/stream-core-metrics.js';
import { grpcRefusalMetadata, type Refusal } from './refusal.js';

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
    let received: Metadata | undefined;
    // grpc-js tells of a cancellation at the end of every call, also of one that was answered.
    let answered = false;
    const inside = (next: () => void): void => (context === undefined ? next() : withAmbient(context, next));
    const go = (refusal: Passage, next: () => void): void => {
      if (refusal === undefined) {
        addMetadata(received, takeRequestHeaders(context));
        return inside(next);
      }
      // Cancelled while it waited: there is nobody to answer.
      if (answered) return;
      answered = true;
      context?.answered('grpc', refusal.grpcStatus);
      context?.over();
      refuse(call, refusal);
    };
    /** Goes on with the call, unless it is not to be served. */
    const admit = (next: () => void): void => {
      const passage = context && inbound.refusal(context, 'grpc');
      if (passage instanceof Promise) void passage.then((refusal) => go(refusal, next));
      else go(passage, next);
    };
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            received = metadata;
            const ends = call.getConnectionInfo();
            const connection = grpcSocket(ends);
            const view = (): GrpcView => new GrpcView(method.path, call.getHost(), metadata, ends, connection, call);
            const deadline = monotonic(call.getDeadline(), inbound.clock);
            context = inbound.context(textFields(metadata), 'grpc', view, deadline);
            context.connection = connection;
            context.metrics = metrics;
            if (isExempt(method)) context.exempt = true;
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
      sendMetadata(metadata, forward) {
        forward(withHeaders(metadata, takeReplyHeaders(context)));
      },
      sendStatus(sent, forward) {
        // Trailers-only, where no message came before it.
        const headers = takeReplyHeaders(context);
        const status = headers === undefined ? sent : { ...sent, metadata: withHeaders(sent.metadata, headers) };
        if (!answered) reporting?.recorder.finished(isGrpcFailure(status.code));
        answered = true;
        context?.answered('grpc', status.code);
        context?.over();
        forward(reporting === undefined || metrics === undefined ? status : withReport(status, reporting, metrics));
      },
    });
  };
}

/** A stream takes as long as it likes, and a server that is full is well. */
const isExempt = (method: { readonly path: string; readonly responseStream: boolean }): boolean =>
  method.responseStream || method.path === HEALTH_CHECK;

/** Ends a call in the handler's place. */
export function refuse(call: Pick<ServerInterceptingCallInterface, 'sendStatus'>, refusal: Refusal): void {
  const metadata = withHeaders(new Metadata(), grpcRefusalMetadata(refusal));
  call.sendStatus({ code: refusal.grpcStatus, details: refusal.message, metadata });
}

/** Said once: in the head, or with the status where there is no head. */
export function takeReplyHeaders(context: InboundContext | undefined): HeaderFields | undefined {
  const headers = context?.replyHeaders;
  if (context !== undefined) context.replyHeaders = undefined;
  return headers;
}

function takeRequestHeaders(context: InboundContext | undefined): HeaderFields | undefined {
  const headers = context?.requestHeaders;
  if (context !== undefined) context.requestHeaders = undefined;
  return headers;
}

/** For the handler to see. */
export function addMetadata(metadata: Metadata | undefined, headers: HeaderFields | undefined): void {
  if (metadata === undefined || headers === undefined) return;
  for (const name in headers) {
    const value = headers[name] as string | string[];
    // None: it is taken away.
    metadata.remove(name);
    for (const one of [value].flat()) metadata.add(name, one);
  }
}

/** A copy: a handler may use its own for other calls. */
export function withHeaders(metadata: Metadata | null | undefined, headers: HeaderFields | undefined): Metadata {
  if (headers === undefined) return metadata ?? new Metadata();
  const copy = metadata?.clone() ?? new Metadata();
  for (const name in headers) for (const value of [headers[name] as string | string[]].flat()) copy.add(name, value);
  return copy;
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
export function monotonic(deadline: Date | number, clock: Clock): number {
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return at === Number.POSITIVE_INFINITY ? at : clock.now() + at - clock.wallTime();
}
