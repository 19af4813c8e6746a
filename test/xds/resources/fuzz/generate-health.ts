import type { Resource } from '../../../../src/core/resources.js';
import type { Make } from './make.js';

/** A valid `OutlierDetection` that may have every field that its decoder reads. */
export function outlierDetection(make: Make): Resource {
  const found: Record<string, unknown> = {
    split_external_local_origin_errors: make.maybe(0.3, () => make.flag()),
    successful_active_health_check_uneject_host: make.maybe(0.3, () => make.bool()),
    always_eject_one_host: make.maybe(0.3, () => make.bool()),
  };
  for (const name of ['interval', 'base_ejection_time', 'max_ejection_time', 'max_ejection_time_jitter'])
    found[name] = make.maybe(0.3, () => make.duration());
  for (const name of [
    'max_ejection_percent',
    'enforcing_success_rate',
    'enforcing_failure_percentage',
    'failure_percentage_threshold',
    'enforcing_consecutive_5xx',
    'enforcing_consecutive_gateway_failure',
    'enforcing_consecutive_local_origin_failure',
    'enforcing_local_origin_success_rate',
    'enforcing_failure_percentage_local_origin',
  ])
    found[name] = make.maybe(0.3, () => make.uint32(0, 100));
  for (const name of [
    'consecutive_5xx',
    'consecutive_gateway_failure',
    'consecutive_local_origin_failure',
    'success_rate_stdev_factor',
    'success_rate_minimum_hosts',
    'success_rate_request_volume',
    'failure_percentage_minimum_hosts',
    'failure_percentage_request_volume',
  ])
    found[name] = make.maybe(0.3, () => make.uint32());
  return found;
}

/** A valid `core.v3.HealthCheck`. */
export function healthCheck(make: Make): Resource {
  const found: Record<string, unknown> = {
    timeout: make.duration(1),
    interval: make.duration(1),
    unhealthy_threshold: make.uint32(),
    healthy_threshold: make.uint32(),
    initial_jitter: make.maybe(0.2, () => make.duration()),
    interval_jitter: make.maybe(0.2, () => make.duration()),
    interval_jitter_percent: make.maybe(0.2, () => make.int(0, 200)),
    alt_port: make.maybe(0.2, () => make.uint32(0, 65_535)),
    reuse_connection: make.maybe(0.2, () => make.bool()),
    ...make.any<Resource>(
      () => ({ http_health_check: httpCheck(make) }),
      () => ({
        grpc_health_check: { service_name: make.maybe(0.5, () => 's'), authority: make.maybe(0.3, () => 'a') },
      }),
      () => ({ tcp_health_check: tcpCheck(make) }),
    ),
  };
  for (const name of ['no_traffic', 'no_traffic_healthy', 'unhealthy', 'unhealthy_edge', 'healthy_edge'])
    found[`${name}_interval`] = make.maybe(0.2, () => make.duration(1));
  return found;
}

const httpCheck = (make: Make): Resource => ({
  host: make.maybe(0.3, () => make.host()),
  path: make.one('/', '/healthz', '/a?b=c'),
  method: make.maybe(0.3, () => make.one('GET', 'HEAD', 'METHOD_UNSPECIFIED')),
  codec_client_type: make.maybe(0.3, () => make.one('HTTP1', 'HTTP2')),
  expected_statuses: make.maybe(0.4, () => [{ start: make.int(100, 300), end: make.int(301, 600) }]),
  retriable_statuses: make.maybe(0.3, () => [{ start: make.int(100, 300), end: make.int(301, 600) }]),
  request_headers_to_add: make.maybe(0.3, () => [make.headerToAdd()]),
  request_headers_to_remove: make.maybe(0.2, () => [make.header()]),
});

function tcpCheck(make: Make): Resource {
  const payload = (): Resource =>
    make.any<Resource>(
      () => ({ text: '00fF' }),
      () => ({ binary: make.bytes() }),
    );
  return { send: make.maybe(0.5, payload), receive: make.list(0, 2, payload) };
}

/** A valid `KeepaliveSettings`. */
export const keepAlive = (make: Make): Resource => ({
  interval: make.maybe(0.7, () => make.duration(1)),
  timeout: make.duration(1),
});
