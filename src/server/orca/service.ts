import type {
  handleServerStreamingCall,
  MethodDefinition,
  ServerWritableStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { type Clock, systemClock } from '../../core/clock.js';
import { encodeOrcaReport } from '../../core/orca-write.js';
import { type MetricRecorder, serverMetrics } from './metric-recorder.js';
import { reportIntervalMs } from './report-request.js';
import { STREAM_CORE_METRICS } from './stream-core-metrics.js';

/** "A minimum reporting interval (30s by default)" - gRFC A51; in milliseconds. */
export const DEFAULT_MIN_INTERVAL_MS = 30_000;

const INVALID_ARGUMENT = 3;

export interface OrcaServiceOptions {
  /** Whose metrics are reported. Default: `serverMetrics()`, those of the process. */
  readonly recorder?: MetricRecorder;
  /** Milliseconds between two reports at least, whatever a client asks for. Default 30_000. */
  readonly minIntervalMs?: number;
  /** Default: the system's. */
  readonly clock?: Clock;
}

type OrcaMethod = MethodDefinition<Buffer, Buffer>;
type Stream = ServerWritableStream<Buffer, Buffer>;

export interface OrcaDefinition {
  readonly [method: string]: OrcaMethod;
  readonly StreamCoreMetrics: OrcaMethod;
}

export interface OrcaImplementation extends UntypedServiceImplementation {
  readonly StreamCoreMetrics: handleServerStreamingCall<Buffer, Buffer>;
}

/**
 * `xds.service.orca.v3.OpenRcaService` for a grpc-js server (gRFC A51, "Out of Band Metrics Reporting"): clients that balance by load hear of it without a
 * call, and while their calls are long.
 *
 * ```ts
 * server.addService(...orcaService());
 * ```
 */
export function orcaService({
  recorder = serverMetrics(),
  minIntervalMs = DEFAULT_MIN_INTERVAL_MS,
  clock = systemClock,
}: OrcaServiceOptions = {}): [OrcaDefinition, OrcaImplementation] {
  return [
    { StreamCoreMetrics: METHOD },
    {
      StreamCoreMetrics(call) {
        const askedMs = reportIntervalMs(call.request);
        if (askedMs === undefined) {
          const details = 'the request is no xds.service.orca.v3.OrcaLoadReportRequest';
          call.emit('error', Object.assign(new Error(details), { code: INVALID_ARGUMENT, details }));
        } else report(call, recorder, Math.max(askedMs, minIntervalMs), clock);
      },
    },
  ];
}

/** "when the response timer fires, the server sends a response" - A51; whether anything has changed or not. */
function report(call: Stream, recorder: MetricRecorder, intervalMs: number, clock: Clock): void {
  let stopTimer = (): void => {};
  const next = (): void => {
    // Nothing is heaped up for a client that does not read: each report has all there is to say.
    if (!call.writableNeedDrain) call.write(encodeOrcaReport(recorder.report()));
    stopTimer = clock.after(intervalMs, next, { background: true });
  };
  // "it should terminate the stream and cancel the timer immediately" - A51; grpc-js tells of every end so.
  call.on('cancelled', () => {
    stopTimer();
    call.end();
  });
  next();
}

const asIs = (bytes: Buffer): Buffer => bytes;

const METHOD: OrcaMethod = {
  path: STREAM_CORE_METRICS,
  requestStream: false,
  responseStream: true,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
};
