import type { HealthCheckConfig } from '../../core/model/health-check.js';
import { headerMutation } from './header-mutation.js';
import { isHeaderValue } from './header-name.js';
import type { Message } from './message.js';

/** "The default value for no traffic interval is 60 seconds." - health_check.proto */
const NO_TRAFFIC_MS = 60_000;
/** Envoy takes statuses from 100 up to 600, which is the end of a half-open range (health_checker_impl.cc). */
const MIN_STATUS = 100;
const MAX_STATUS = 600;
const METHODS = [
  'METHOD_UNSPECIFIED',
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
] as const;

type Check = HealthCheckConfig['check'];

/** `Cluster.health_checks` (core.v3.HealthCheck). One that is of another kind than these, or asks for more, is refused: it is there for safety. */
export function healthChecks(cluster: Message): readonly HealthCheckConfig[] | undefined {
  const checks = cluster.messages('health_checks');
  return checks.length === 0 ? undefined : checks.map(healthCheck);
}

function healthCheck(config: Message): HealthCheckConfig {
  const timeoutMs = positive(config, 'timeout');
  const intervalMs = positive(config, 'interval');
  if (timeoutMs === undefined) throw config.error('timeout', 'must be set');
  if (intervalMs === undefined) throw config.error('interval', 'must be set');
  const port = config.uint32Value('alt_port') ?? 0;
  if (port > 65_535) throw config.error('alt_port', `must be at most 65535, got ${port}`);
  const unhealthyIntervalMs = positive(config, 'unhealthy_interval');
  for (const field of ['tls_options', 'transport_socket_match_criteria'] as const)
    if (config.has(field)) throw config.error(field, 'is not supported: a check speaks as calls do');
  return {
    timeoutMs,
    intervalMs,
    initialJitterMs: config.duration('initial_jitter') ?? 0,
    intervalJitterMs: config.duration('interval_jitter') ?? 0,
    intervalJitterShare: config.uint32('interval_jitter_percent') / 100,
    noTrafficIntervalMs: positive(config, 'no_traffic_interval') ?? NO_TRAFFIC_MS,
    noTrafficHealthyIntervalMs: positive(config, 'no_traffic_healthy_interval'),
    unhealthyIntervalMs,
    // "The default value for “unhealthy edge interval” is the same as “unhealthy interval”." - health_check.proto
    unhealthyEdgeIntervalMs: positive(config, 'unhealthy_edge_interval') ?? unhealthyIntervalMs,
    healthyEdgeIntervalMs: positive(config, 'healthy_edge_interval'),
    unhealthyThreshold: threshold(config, 'unhealthy_threshold'),
    healthyThreshold: threshold(config, 'healthy_threshold'),
    port: port === 0 ? undefined : port,
    reuseConnection: config.boolValue('reuse_connection') ?? true,
    check: checker(config),
  };
}

/** A duration that, when it is there, must be "gt {}". */
function positive(config: Message, field: string): number | undefined {
  const ms = config.duration(field);
  if (ms === 0) throw config.error(field, 'must be greater than 0');
  return ms;
}

/** "required: true"; 0 counts as 1, since a change needs a check that tells of it. */
function threshold(config: Message, field: string): number {
  const count = config.uint32Value(field);
  if (count === undefined) throw config.error(field, 'must be set');
  return Math.max(1, count);
}

function checker(config: Message): Check {
  const kind = config.oneof('http_health_check', 'tcp_health_check', 'grpc_health_check', 'custom_health_check');
  switch (kind) {
    case 'http_health_check':
      return httpCheck(config.required(kind));
    case 'tcp_health_check':
      return tcpCheck(config.required(kind));
    case 'grpc_health_check': {
      const grpc = config.required(kind);
      const authority = headerText(grpc, 'authority');
      return { kind: 'grpc', service: grpc.text('service_name'), authority: authority === '' ? undefined : authority };
    }
    case 'custom_health_check':
      throw config.error(kind, 'is not supported; use http_health_check, tcp_health_check or grpc_health_check');
    default:
      throw config.error('', 'must have http_health_check, tcp_health_check or grpc_health_check');
  }
}

function httpCheck(http: Message): Check {
  const host = headerText(http, 'host');
  const path = headerText(http, 'path');
  if (!path.startsWith('/') || /[\s#]/.test(path)) throw http.error('path', 'must be a path that begins with "/"');
  const client = http.choice('codec_client_type', ['HTTP1', 'HTTP2', 'HTTP3']);
  if (client === 'HTTP3') throw http.error('codec_client_type', 'must be HTTP1 or HTTP2');
  const method = http.choice('method', METHODS);
  // "not_in: 6" - health_check.proto
  if (method === 'CONNECT') throw http.error('method', 'must not be CONNECT');
  for (const field of ['send', 'receive', 'service_name_matcher'] as const)
    if (http.has(field)) throw http.error(field, 'is not supported; expected_statuses say what is healthy');
  const expected = http.messages('expected_statuses').map(statusRange);
  const retriable = http.messages('retriable_statuses').map(statusRange);
  return {
    kind: 'http',
    host: host === '' ? undefined : host,
    path,
    method: method === 'METHOD_UNSPECIFIED' ? 'GET' : method,
    http2: client === 'HTTP2',
    expected: expected.length === 0 ? [{ start: 200, end: 201 }] : expected,
    retriable: retriable.length === 0 ? undefined : retriable,
    requestHeaders: headerMutation(http, 'request'),
  };
}

function statusRange(range: Message): { readonly start: number; readonly end: number } {
  const start = range.int64('start');
  const end = range.int64('end');
  if (start >= end || start < MIN_STATUS || end > MAX_STATUS)
    throw range.error('', `must be a range of statuses from ${MIN_STATUS}, with an end of at most ${MAX_STATUS}`);
  return { start, end };
}

function headerText(owner: Message, field: string): string {
  const value = owner.text(field);
  if (!isHeaderValue(value)) throw owner.error(field, 'must be a header value (RFC 9110)');
  return value;
}

function tcpCheck(tcp: Message): Check {
  const send = tcp.message('send');
  return {
    kind: 'tcp',
    send: send === undefined ? new Uint8Array(0) : payload(send),
    receive: tcp.messages('receive').map(payload),
  };
}

/** `HealthCheck.Payload`: "Hex encoded payload. E.g., “000000FF”", or the bytes themselves. */
function payload(message: Message): Uint8Array {
  switch (message.oneof('text', 'binary')) {
    case 'text': {
      const text = message.requiredText('text');
      if (!/^([0-9a-f]{2})+$/i.test(text)) throw message.error('text', 'must be hexadecimal, two digits for each byte');
      return Buffer.from(text, 'hex');
    }
    case 'binary':
      return message.bytes('binary');
    default:
      throw message.error('', 'must have text or binary');
  }
}
