import { channel } from 'node:diagnostics_channel';
import type { Filter } from '../../core/service.js';
import type { OtelLink } from '../otel/link.js';

/** What instrumentation-undici listens to. */
const undiciRequests = channel('undici:request:create');

/** OpenTelemetry's own key for "make no spans here"; the same in every copy of the SDK, because the API makes keys by name. */
const SUPPRESS_TRACING = 'OpenTelemetry SDK Context Key SUPPRESS_TRACING';

/**
 * Keeps OpenTelemetry's instrumentation-undici from making a second span and a second `traceparent` for an attempt that has ours. Stands
 * directly above the transport. Does nothing unless something listens to undici and an SDK is registered.
 */
export const suppressDoubleSpans =
  (link: OtelLink): Filter =>
  (next) =>
  (call) => {
    if (!undiciRequests.hasSubscribers || link.tracer === undefined) return next(call);
    const api = link.api;
    if (api === undefined) return next(call);
    const quiet = api.context.active().setValue(api.createContextKey(SUPPRESS_TRACING), true);
    return api.context.with(quiet, () => next(call));
  };
