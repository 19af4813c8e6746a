import { describe, expect, test } from 'vitest';
import { CLUSTER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { refusal } from '../../support/refusal.js';
import { any, clusterResource, struct } from '../../support/xds-resources.js';

const settings = (fields: Resource) => decoders[CLUSTER](clusterResource('c', fields), 'c').settings;
const wrapped = (value: unknown): Resource => ({ value });
const PROTOCOL = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

describe('outlier detection', () => {
  const outlier = (outlier_detection: Resource) => settings({ outlier_detection }).outlier;

  test('is none unless it is asked for', () => {
    expect(settings({}).outlier).toBeUndefined();
  });

  test('has Envoy’s defaults, consecutive failures included', () => {
    expect(outlier({})).toEqual({
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionMs: 300_000,
      maxEjectionJitterMs: 0,
      maxEjection: 0.1,
      consecutive5xx: { count: 5, enforcing: 1 },
      consecutiveGatewayFailure: undefined,
      consecutiveLocalOriginFailure: undefined,
      splitLocalOrigin: false,
      successRate: { stdevFactor: 1.9, enforcing: 1, minimumHosts: 5, requestVolume: 100 },
      localOriginSuccessRate: undefined,
      failurePercentage: undefined,
      localOriginFailurePercentage: undefined,
      unejectOnHealthCheck: true,
      alwaysEjectOne: false,
    });
  });

  test('takes every field', () => {
    const statistics = { minimumHosts: 2, requestVolume: 3 };
    const failures = { threshold: 0.7, minimumHosts: 4, requestVolume: 6 };
    expect(
      outlier({
        interval: { seconds: 1 },
        base_ejection_time: { seconds: 2 },
        max_ejection_time: { seconds: 3 },
        max_ejection_time_jitter: { nanos: 500_000_000 },
        max_ejection_percent: wrapped(50),
        consecutive_5xx: wrapped(7),
        enforcing_consecutive_5xx: wrapped(80),
        consecutive_gateway_failure: wrapped(8),
        enforcing_consecutive_gateway_failure: wrapped(90),
        consecutive_local_origin_failure: wrapped(9),
        enforcing_consecutive_local_origin_failure: wrapped(70),
        split_external_local_origin_errors: true,
        success_rate_minimum_hosts: wrapped(2),
        success_rate_request_volume: wrapped(3),
        success_rate_stdev_factor: wrapped(1_000),
        enforcing_success_rate: wrapped(60),
        enforcing_local_origin_success_rate: wrapped(40),
        failure_percentage_threshold: wrapped(70),
        failure_percentage_minimum_hosts: wrapped(4),
        failure_percentage_request_volume: wrapped(6),
        enforcing_failure_percentage: wrapped(30),
        enforcing_failure_percentage_local_origin: wrapped(20),
        successful_active_health_check_uneject_host: wrapped(false),
        always_eject_one_host: wrapped(true),
      }),
    ).toEqual({
      intervalMs: 1_000,
      baseEjectionMs: 2_000,
      maxEjectionMs: 3_000,
      maxEjectionJitterMs: 500,
      maxEjection: 0.5,
      consecutive5xx: { count: 7, enforcing: 0.8 },
      consecutiveGatewayFailure: { count: 8, enforcing: 0.9 },
      consecutiveLocalOriginFailure: { count: 9, enforcing: 0.7 },
      splitLocalOrigin: true,
      successRate: { stdevFactor: 1, enforcing: 0.6, ...statistics },
      localOriginSuccessRate: { stdevFactor: 1, enforcing: 0.4, ...statistics },
      failurePercentage: { enforcing: 0.3, ...failures },
      localOriginFailurePercentage: { enforcing: 0.2, ...failures },
      unejectOnHealthCheck: false,
      alwaysEjectOne: true,
    });
  });

  test('what is not enforced is off: success rate with 0, failure percentage with 0 or nothing (A50)', () => {
    const off = { enforcing_success_rate: {}, enforcing_consecutive_5xx: {}, enforcing_failure_percentage: {} };
    expect(outlier(off)).toMatchObject({
      successRate: undefined,
      consecutive5xx: undefined,
      failurePercentage: undefined,
    });
    expect(outlier({ enforcing_failure_percentage: wrapped(100) })?.failurePercentage).toEqual({
      threshold: 0.85,
      enforcing: 1,
      minimumHosts: 5,
      requestVolume: 50,
    });
    expect(outlier({ consecutive_5xx: {} })?.consecutive5xx).toBeUndefined();
  });

  test('an endpoint is out for at least its base time, and looked at no more often than ten times a second', () => {
    expect(outlier({ base_ejection_time: { seconds: 600 } })?.maxEjectionMs).toBe(600_000);
    expect(outlier({ interval: {} })?.intervalMs).toBe(100);
  });

  test('errors of the own side count apart only when they are told apart', () => {
    const found = outlier({ enforcing_failure_percentage_local_origin: wrapped(100) });
    expect(found?.localOriginFailurePercentage).toBeUndefined();
    expect(outlier({ split_external_local_origin_errors: true })).toMatchObject({
      consecutiveLocalOriginFailure: { count: 5, enforcing: 1 },
      localOriginSuccessRate: { enforcing: 1 },
      localOriginFailurePercentage: undefined,
    });
  });
});

const basics = {
  timeout: { seconds: 1 },
  interval: { seconds: 5 },
  unhealthy_threshold: wrapped(3),
  healthy_threshold: wrapped(2),
};
const checks = (...health_checks: Resource[]) => settings({ health_checks }).healthChecks;
const check = (fields: Resource) => checks({ ...basics, ...fields })?.[0];

describe('active checks', () => {
  test('are none unless there are some', () => {
    expect(settings({}).healthChecks).toBeUndefined();
  });

  test('have the defaults of health_check.proto', () => {
    expect(check({ http_health_check: { path: '/healthz' } })).toEqual({
      timeoutMs: 1_000,
      intervalMs: 5_000,
      initialJitterMs: 0,
      intervalJitterMs: 0,
      intervalJitterShare: 0,
      noTrafficIntervalMs: 60_000,
      unhealthyIntervalMs: undefined,
      unhealthyEdgeIntervalMs: undefined,
      healthyEdgeIntervalMs: undefined,
      unhealthyThreshold: 3,
      healthyThreshold: 2,
      port: undefined,
      reuseConnection: true,
      check: {
        kind: 'http',
        host: undefined,
        path: '/healthz',
        method: 'GET',
        http2: false,
        expected: [{ start: 200, end: 201 }],
        requestHeaders: undefined,
      },
    });
  });

  test('take every time', () => {
    const found = check({
      initial_jitter: { nanos: 100_000_000 },
      interval_jitter: { nanos: 200_000_000 },
      interval_jitter_percent: 10,
      no_traffic_interval: { seconds: 7 },
      no_traffic_healthy_interval: { seconds: 70 },
      unhealthy_interval: { seconds: 2 },
      healthy_edge_interval: { seconds: 3 },
      alt_port: wrapped(8_080),
      reuse_connection: wrapped(false),
      healthy_threshold: {},
      tcp_health_check: {},
    });
    expect(found).toMatchObject({
      initialJitterMs: 100,
      intervalJitterMs: 200,
      intervalJitterShare: 0.1,
      noTrafficIntervalMs: 7_000,
      noTrafficHealthyIntervalMs: 70_000,
      unhealthyIntervalMs: 2_000,
      // "the same as 'unhealthy interval'" - health_check.proto
      unhealthyEdgeIntervalMs: 2_000,
      healthyEdgeIntervalMs: 3_000,
      port: 8_080,
      reuseConnection: false,
      healthyThreshold: 1,
    });
    expect(check({ unhealthy_edge_interval: { seconds: 9 }, tcp_health_check: {} })?.unhealthyEdgeIntervalMs).toBe(
      9_000,
    );
  });

  test('over HTTP say what to ask and what to expect', () => {
    const found = check({
      http_health_check: {
        host: 'h',
        path: '/',
        method: 'HEAD',
        codec_client_type: 'HTTP2',
        expected_statuses: [
          { start: 200, end: 300 },
          { start: '404', end: 405 },
        ],
        retriable_statuses: [{ start: 429, end: 430 }],
        request_headers_to_add: [{ header: { key: 'X-A', value: 'b' } }],
      },
    });
    expect(found?.check).toEqual({
      kind: 'http',
      host: 'h',
      path: '/',
      method: 'HEAD',
      http2: true,
      expected: [
        { start: 200, end: 300 },
        { start: 404, end: 405 },
      ],
      retriable: [{ start: 429, end: 430 }],
      requestHeaders: { remove: [], set: [{ name: 'x-a', value: 'b', action: 'append' }] },
    });
  });

  test('by gRPC’s health protocol', () => {
    expect(check({ grpc_health_check: {} })?.check).toEqual({ kind: 'grpc', service: '', authority: undefined });
    const grpc_health_check = { service_name: 's', authority: 'a' };
    expect(check({ grpc_health_check })?.check).toEqual({ kind: 'grpc', service: 's', authority: 'a' });
  });

  test('over TCP send bytes and look for others', () => {
    const tcp_health_check = { send: { text: '00Ff' }, receive: [{ binary: Uint8Array.of(7) }, { text: '01' }] };
    const found = check({ tcp_health_check })?.check;
    if (found?.kind !== 'tcp') throw new Error('must be a check over TCP');
    expect([...found.send]).toEqual([0, 255]);
    expect(found.receive.map((bytes) => [...bytes])).toEqual([[7], [1]]);
  });

  test('each stands for itself', () => {
    const found = checks({ ...basics, grpc_health_check: {} }, { ...basics, tcp_health_check: {} });
    expect(found?.map((one) => one.check.kind)).toEqual(['grpc', 'tcp']);
  });

  const http = (fields: Resource) => ({ ...basics, http_health_check: { path: '/', ...fields } });
  const { timeout: _, ...noTimeout } = basics;
  test.each<[string, Resource, string]>([
    ['without a timeout', { ...noTimeout, grpc_health_check: {} }, 'timeout: must be set'],
    ['with an interval of none', { ...basics, interval: {} }, 'interval: must be greater than 0'],
    ['without a threshold', { timeout: { seconds: 1 }, interval: { seconds: 1 } }, 'unhealthy_threshold: must be set'],
    ['of no kind', basics, 'health_checks[0]: must have http_health_check'],
    ['of an own kind', { ...basics, custom_health_check: { name: 'x' } }, 'custom_health_check: is not supported'],
    ['without a path', { ...basics, http_health_check: {} }, 'http_health_check.path: must be a path'],
    ['with a path that is none', http({ path: 'x y' }), 'path: must be a path that begins with "/"'],
    ['with a host that is none', http({ host: 'a\nb' }), 'host: must be a header value'],
    ['over HTTP/3', http({ codec_client_type: 'HTTP3' }), 'codec_client_type: must be HTTP1 or HTTP2'],
    ['by CONNECT', http({ method: 'CONNECT' }), 'method: must not be CONNECT'],
    ['that looks at the body', http({ receive: [{ text: '00' }] }), 'receive: is not supported'],
    ['with an empty range', http({ expected_statuses: [{ start: 200, end: 200 }] }), 'must be a range of statuses'],
    ['with statuses that are none', http({ expected_statuses: [{ start: 99, end: 200 }] }), 'must be a range'],
    ['with odd digits', { ...basics, tcp_health_check: { send: { text: '123' } } }, 'text: must be hexadecimal'],
    ['with an empty payload', { ...basics, tcp_health_check: { receive: [{}] } }, 'must have text or binary'],
    ['at a port that is none', { ...basics, alt_port: wrapped(65_536) }, 'alt_port: must be at most 65535'],
    ['over a socket of its own', { ...basics, tls_options: {} }, 'tls_options: is not supported'],
    [
      'with statuses to try again that are none',
      http({ retriable_statuses: [{ start: 600, end: 601 }] }),
      'retriable_statuses[0]: must be a range of statuses',
    ],
    [
      'with no wait while healthy',
      { ...basics, no_traffic_healthy_interval: {} },
      'no_traffic_healthy_interval: must be greater',
    ],
    ['with a short wait of none', { ...basics, no_traffic_interval: {} }, 'no_traffic_interval: must be greater'],
  ])('are refused %s', (__, fields, problem) => {
    expect(refusal(() => checks(fields))).toContain(problem);
  });

  test('gRPC’s own watch is asked for in our metadata (A17)', () => {
    const of = (fields: Record<string, Resource>) =>
      settings({ metadata: { filter_metadata: { 'inmesh.dev': struct(fields) } } }).healthWatch;
    expect(of({})).toBeUndefined();
    expect(of({ health_watch: { struct_value: struct({}) } })).toEqual({ service: '' });
    expect(of({ health_watch: { struct_value: struct({ service: { string_value: 's' } }) } })).toEqual({
      service: 's',
    });
    expect(refusal(() => of({ health_watch: { struct_value: struct({ service: wrapped(1) }) } }))).toContain(
      'must be a string',
    );
  });
});

describe('connections', () => {
  const options = (fields: Resource) =>
    settings({ typed_extension_protocol_options: { [PROTOCOL]: any(PROTOCOL, fields) } });

  test('are the transport’s matter unless something is said', () => {
    expect(settings({}).connections).toBeUndefined();
    expect(options({ common_http_protocol_options: { idle_timeout: { seconds: 1 } } }).connections).toBeUndefined();
    expect(settings({ preconnect_policy: { per_upstream_preconnect_ratio: wrapped(1) } }).connections).toBeUndefined();
  });

  test('have limits', () => {
    const common_http_protocol_options = {
      max_connection_duration: { seconds: 90 },
      max_requests_per_connection: wrapped(1_000),
    };
    const expected = { warm: 0, maxLifetimeMs: 90_000, maxRequests: 1_000, keepAlive: undefined };
    expect(options({ common_http_protocol_options }).connections).toEqual(expected);
    expect(settings({ common_http_protocol_options }).connections).toEqual(expected);
    expect(settings({ max_requests_per_connection: wrapped(7) }).connections?.maxRequests).toBe(7);
  });

  test.each<[Resource, number | undefined]>([
    [{ per_upstream_preconnect_ratio: wrapped(1.05) }, 1],
    [{ per_upstream_preconnect_ratio: wrapped(2) }, 1],
    [{ predictive_preconnect_ratio: wrapped(3) }, 2],
    [{}, undefined],
  ])('are opened ahead: %j', (preconnect_policy, warm) => {
    expect(settings({ preconnect_policy }).connections?.warm).toBe(warm);
  });

  test('are opened ahead in any number by our metadata', () => {
    const metadata = { filter_metadata: { 'inmesh.dev': struct({ warm_connections: { number_value: 4 } }) } };
    expect(settings({ metadata }).connections?.warm).toBe(4);
  });

  test('over HTTP/2 are kept alive by PINGs, whatever decides that HTTP/2 is spoken', () => {
    const http2_protocol_options = {
      connection_keepalive: { interval: { seconds: 30 }, timeout: { seconds: 5 } },
    };
    const keepAlive = { intervalMs: 30_000, timeoutMs: 5_000, withoutCalls: true };
    expect(options({ explicit_http_config: { http2_protocol_options } }).connections?.keepAlive).toEqual(keepAlive);
    expect(options({ auto_config: { http2_protocol_options } }).connections?.keepAlive).toEqual(keepAlive);
    expect(options({ use_downstream_protocol_config: { http2_protocol_options } }).connections).toMatchObject({
      keepAlive,
    });
    expect(settings({ http2_protocol_options }).connections?.keepAlive).toEqual(keepAlive);
  });

  const keepAlive = (connection_keepalive: Resource) => () =>
    settings({ http2_protocol_options: { connection_keepalive } });
  test.each<[string, () => unknown, string]>([
    ['a ratio below 1', () => settings({ preconnect_policy: { per_upstream_preconnect_ratio: {} } }), 'from 1 to 3'],
    [
      'a ratio above 3',
      () => settings({ preconnect_policy: { predictive_preconnect_ratio: wrapped(3.1) } }),
      'predictive_preconnect_ratio.value: must be from 1 to 3',
    ],
    ['PINGs without a timeout', keepAlive({ interval: { seconds: 1 } }), 'connection_keepalive.timeout: must be set'],
    ['PINGs without a pause', keepAlive({ interval: { nanos: 1 } }), 'interval: must be at least 1 ms'],
  ])('are refused with %s', (_, read, problem) => {
    expect(refusal(read)).toContain(problem);
  });
});
