import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import { withAmbient } from '../core/ambient.js';
import { type Clock, systemClock } from '../core/clock.js';
import { contextOf, type InboundContext, type InboundHeaders, type InboundOptions } from './context.js';

/**
 * Interceptor for a grpc-js server: mesh calls made by its handlers carry the call's trace, deadline and cancellation.
 *
 * ```ts
 * new Server({ interceptors: [meshServerInterceptor()] });
 * ```
 */
export function meshServerInterceptor(options: InboundOptions = {}): ServerInterceptor {
  const clock = options.clock ?? systemClock;
  return (_method, call) => {
    // Metadata comes first; a call that is cancelled before has no handler yet.
    let context: InboundContext | undefined;
    // grpc-js tells of a cancellation at the end of every call, also of one that was answered.
    let answered = false;
    const inside = (next: () => void): void => (context === undefined ? next() : withAmbient(context, next));
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, forward) {
            context = contextOf(traceHeaders(metadata), monotonic(call.getDeadline(), clock));
            inside(() => forward(metadata));
          },
          onReceiveMessage: (message, forward) => inside(() => forward(message)),
          onReceiveHalfClose: inside,
          onCancel() {
            if (!answered) context?.callerGone();
          },
        }),
      sendStatus(status, forward) {
        answered = true;
        forward(status);
      },
    });
  };
}

/** grpc-js has read `grpc-timeout` by now and taken it out of the metadata; what it gives is wall time. */
function monotonic(deadline: Date | number, clock: Clock): number {
  const at = typeof deadline === 'number' ? deadline : deadline.getTime();
  return at === Number.POSITIVE_INFINITY ? at : clock.now() + at - clock.wallTime();
}

const TRACE_HEADERS = ['traceparent', 'tracestate', 'baggage'] as const;

function traceHeaders(metadata: Metadata): InboundHeaders {
  const headers: Record<string, string[]> = {};
  for (const name of TRACE_HEADERS) {
    const values = metadata.get(name).filter((value): value is string => typeof value === 'string');
    if (values.length > 0) headers[name] = values;
  }
  return headers;
}
