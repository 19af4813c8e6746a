import type { Resource } from '../../core/resources.js';
import type { HealthCheckSpec } from '../yaml/schema/health-check.js';
import { duration, wrapped } from './proto.js';

/** `Cluster.health_checks`. Envoy wants several to have names (since 1.40). */
export function healthChecks(given: readonly HealthCheckSpec[] | undefined): Resource {
  if (given === undefined) return {};
  const several = given.length > 1;
  return {
    health_checks: given.map((check, index) => ({ ...(several && { name: `check-${index}` }), ...healthCheck(check) })),
  };
}

function healthCheck(check: HealthCheckSpec): Resource {
  const time = (field: string, ms: number | undefined): Resource => (ms === undefined ? {} : { [field]: duration(ms) });
  return {
    timeout: duration(check.timeout),
    interval: duration(check.interval),
    ...time('initial_jitter', check.initialJitter),
    ...time('interval_jitter', check.intervalJitter),
    ...(check.intervalJitterPercent && { interval_jitter_percent: check.intervalJitterPercent }),
    ...time('no_traffic_interval', check.noTrafficInterval),
    ...time('no_traffic_healthy_interval', check.noTrafficHealthyInterval),
    ...time('unhealthy_interval', check.unhealthyInterval),
    ...time('unhealthy_edge_interval', check.unhealthyEdgeInterval),
    ...time('healthy_edge_interval', check.healthyEdgeInterval),
    unhealthy_threshold: wrapped(check.unhealthyThreshold),
    healthy_threshold: wrapped(check.healthyThreshold),
    ...(check.altPort !== undefined && { alt_port: wrapped(check.altPort) }),
    ...(check.reuseConnection !== undefined && { reuse_connection: wrapped(check.reuseConnection) }),
    ...checker(check),
  };
}

function checker({ httpHealthCheck: http, grpcHealthCheck: grpc, tcpHealthCheck: tcp }: HealthCheckSpec): Resource {
  if (http !== undefined) {
    return {
      http_health_check: {
        path: http.path,
        ...(http.host !== undefined && { host: http.host }),
        ...(http.method !== 'GET' && { method: http.method }),
        ...(http.codecClientType !== 'HTTP1' && { codec_client_type: http.codecClientType }),
        ...(http.expectedStatuses !== undefined && {
          expected_statuses: http.expectedStatuses.map(({ start, end }) => ({ start, end })),
        }),
        ...(http.retriableStatuses !== undefined && {
          retriable_statuses: http.retriableStatuses.map(({ start, end }) => ({ start, end })),
        }),
        ...(http.requestHeadersToAdd !== undefined && {
          request_headers_to_add: http.requestHeadersToAdd.map(({ name, value }) => ({
            header: { key: name.toLowerCase(), value: value.replaceAll('%', '%%') },
            append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
          })),
        }),
      },
    };
  }
  if (grpc !== undefined) {
    return {
      grpc_health_check: {
        ...(grpc.serviceName !== '' && { service_name: grpc.serviceName }),
        ...(grpc.authority !== undefined && { authority: grpc.authority }),
      },
    };
  }
  return {
    tcp_health_check: {
      ...(tcp?.send !== undefined && { send: { text: tcp.send } }),
      ...(tcp?.receive !== undefined && { receive: tcp.receive.map((text) => ({ text })) }),
    },
  };
}
