import * as v from 'valibot';
import { about, duration, headerName, integer, listOf, oneOf, pattern, percent, portNumber, text } from './fields.js';

const headerValue = pattern(/^[\x21-\x7e]{1,253}$/, 'a host, with or without a port');

const statusRange = v.strictObject({
  start: about(integer(100, 599), 'First status.'),
  end: about(integer(101, 600), 'First status after the range.'),
});

const header = v.strictObject({
  name: about(headerName, 'Name of the header.'),
  value: about(text(0, 4096), 'Value.'),
});

const httpHealthCheck = v.strictObject({
  path: about(v.pipe(text(1, 1024), v.regex(/^\/[^\s#]*$/, 'must be a path that starts with "/"')), 'Path to ask for.'),
  host: about(v.optional(headerValue), 'Host header. Default: the name of the cluster, `reviews.default:80`.'),
  method: about(
    v.optional(oneOf(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH']), 'GET'),
    'Method. Default GET.',
  ),
  codecClientType: about(v.optional(oneOf(['HTTP1', 'HTTP2']), 'HTTP1'), 'What to speak. Default HTTP1.'),
  expectedStatuses: about(v.optional(listOf(statusRange, 1, 64)), 'Statuses that are healthy. Default: 200.'),
  retriableStatuses: about(
    v.optional(listOf(statusRange, 1, 64)),
    'Statuses that only count towards `unhealthyThreshold`; others that are not expected are unhealthy at once. Default: none.',
  ),
  requestHeadersToAdd: about(v.optional(listOf(header, 1, 64)), 'Headers to send.'),
});

const grpcHealthCheck = v.strictObject({
  serviceName: about(
    v.optional(text(0, 1024), ''),
    'What to ask `grpc.health.v1.Health` for. Default: the server as a whole.',
  ),
  authority: about(v.optional(headerValue), 'The `:authority` to send. Default: the name of the cluster.'),
});

const bytes = pattern(/^([0-9A-Fa-f]{2}){1,4096}$/, 'bytes in hexadecimal, such as 50494e47');

const tcpHealthCheck = v.strictObject({
  send: about(v.optional(bytes), 'Bytes to send, in hexadecimal. Default: none; to connect is enough.'),
  receive: about(v.optional(listOf(bytes, 1, 64)), 'Bytes that must come back, in this order. Default: none.'),
});

/** Envoy's `HealthCheck`, with the defaults of Kubernetes' probes where Envoy has none. */
export const healthCheck = v.strictObject({
  timeout: about(v.optional(duration, '1s'), 'Limit of one check. Default 1s.'),
  interval: about(v.optional(duration, '10s'), 'Time between two checks. Default 10s.'),
  initialJitter: about(v.optional(duration), 'Waited before the first check, at random up to this long. Default 0s.'),
  intervalJitter: about(v.optional(duration), 'Added to each interval at random, up to this long. Default 0s.'),
  intervalJitterPercent: about(v.optional(percent), 'The same as a share of the interval, in percent. Default 0.'),
  noTrafficInterval: about(
    v.optional(duration),
    'Interval while the Service has had no calls; the first call ends it. Default 1m.',
  ),
  noTrafficHealthyInterval: about(
    v.optional(duration),
    'The same of an endpoint that is healthy. Default: `noTrafficInterval`.',
  ),
  unhealthyInterval: about(v.optional(duration), 'Interval while unhealthy. Default: `interval`.'),
  unhealthyEdgeInterval: about(
    v.optional(duration),
    'Interval right after it became unhealthy. Default: `unhealthyInterval`.',
  ),
  healthyEdgeInterval: about(v.optional(duration), 'Interval right after it became healthy. Default: `interval`.'),
  unhealthyThreshold: about(
    v.optional(integer(1, 1_000), 3),
    'Failures in a row that make it unhealthy; a wrong HTTP status does so at once. Default 3.',
  ),
  healthyThreshold: about(
    v.optional(integer(1, 1_000), 1),
    'Successes in a row that make it healthy again. Default 1.',
  ),
  altPort: about(v.optional(portNumber), "Port to ask. Default: the endpoint's own."),
  reuseConnection: about(v.optional(v.boolean()), 'One connection for all checks. Default true.'),
  httpHealthCheck: about(v.optional(httpHealthCheck), 'Ask over HTTP.'),
  grpcHealthCheck: about(
    v.optional(grpcHealthCheck),
    'Ask by the gRPC health protocol. Envoy refuses it for a Service whose `appProtocol` is not HTTP/2.',
  ),
  tcpHealthCheck: about(v.optional(tcpHealthCheck), 'Connect.'),
});

export type HealthCheckSpec = v.InferOutput<typeof healthCheck>;
