import type { MeshErrorCode, ErrorOrigin, Reached, ResponseFlag } from '../../core/errors.js';
import type { Finished } from '../../core/meter.js';
import type { Protocol } from '../../core/call.js';
import { failureOf, grpcStatus, redactedUrl } from '../semantics.js';

/** One finished call. `docs/telemetry.md` explains every key; a test compares the two. */
export interface AccessLogEntry {
  /** When the call ended, ISO 8601 in UTC. */
  readonly time: string;
  /** This workload. */
  readonly source: string;
  /** The destination as the application wrote it. */
  readonly destination: string;
  readonly protocol: Protocol;
  readonly method: string;
  /** Credentials in it are replaced by `REDACTED`. */
  readonly url: string;
  /** HTTP status of the reply, when there was one. */
  readonly status: number | undefined;
  /** gRPC calls only. */
  readonly grpc_status: number | undefined;
  readonly duration_ms: number;
  readonly bytes_sent: number;
  readonly bytes_received: number;
  /** Envoy's response flags, joined by a comma; empty when there are none. */
  readonly flags: string;
  readonly attempts: number;
  /** `ip:port` that the last attempt went to. */
  readonly endpoint: string | undefined;
  readonly route: string | undefined;
  readonly cluster: string | undefined;
  readonly version: string | undefined;
  /** The kind of fallback that answered in place of the destination. */
  readonly fallback: string | undefined;
  readonly trace_id: string | undefined;
  readonly span_id: string | undefined;
  readonly error:
    | {
        readonly code: MeshErrorCode;
        readonly origin: ErrorOrigin;
        readonly reached: Reached;
        readonly message: string;
      }
    | undefined;
}

/** Every key of an entry, in the order in which it is written. */
export const ACCESS_LOG_KEYS = [
  'time',
  'source',
  'destination',
  'protocol',
  'method',
  'url',
  'status',
  'grpc_status',
  'duration_ms',
  'bytes_sent',
  'bytes_received',
  'flags',
  'attempts',
  'endpoint',
  'route',
  'cluster',
  'version',
  'fallback',
  'trace_id',
  'span_id',
  'error',
] as const satisfies readonly (keyof AccessLogEntry)[];

export function accessLogEntry(finished: Finished, source: string, wallTime: number): AccessLogEntry {
  const { call, reply, end } = finished;
  const { record } = call;
  const failure = failureOf(finished);
  return {
    time: new Date(wallTime).toISOString(),
    source,
    destination: call.authority,
    protocol: call.protocol,
    method: call.method,
    url: redactedUrl(call),
    status: reply?.status,
    grpc_status: call.protocol === 'grpc' ? grpcStatus(finished) : undefined,
    duration_ms: Math.round(finished.durationMs * 1_000) / 1_000,
    bytes_sent: end?.bytesSent ?? 0,
    bytes_received: end?.bytesReceived ?? 0,
    flags: flagText(record.flags, failure?.flag),
    attempts: record.attempts,
    endpoint: record.endpoint,
    route: record.route,
    cluster: record.cluster,
    version: record.version,
    fallback: record.fallback,
    trace_id: record.traceId,
    span_id: record.spanId,
    error:
      failure === undefined
        ? undefined
        : { code: failure.code, origin: failure.origin, reached: failure.reached, message: failure.message },
  };
}

/** The flags raised on the way, and that of the error that ended the call. */
function flagText(raised: readonly ResponseFlag[] | undefined, last: ResponseFlag | undefined): string {
  const flags = new Set<ResponseFlag>(raised);
  if (last !== undefined) flags.add(last);
  return [...flags].join(',');
}

/** What JSON leaves as it is, but terminals and line readers act on: C1 controls, DEL, Unicode's line ends. */
const UNSAFE = /[\u007f-\u009f\u2028\u2029]/g;

/** An entry as one line of JSON, without its line end. Nothing in it, whoever wrote it, can end the line or steer a terminal. */
export function accessLogLine(entry: AccessLogEntry): string {
  return JSON.stringify(entry).replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
