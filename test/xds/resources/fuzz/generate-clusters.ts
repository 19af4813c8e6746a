import type { Resource } from '../../../../src/core/resources.js';
import { healthCheck, keepAlive, outlierDetection } from './generate-health.js';
import { balancing } from './generate-policies.js';
import { any, type Make } from './make.js';

const PROTOCOL = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
const ads = (): Resource => ({ ads: {}, resource_api_version: 'V3' });

/** A valid `Cluster` that may have every field that its decoder reads. */
export function cluster(make: Make, name: string): Resource {
  return {
    name,
    ...discovery(make),
    ...balancing(make),
    alt_stat_name: make.maybe(0.2, () => make.name()),
    connect_timeout: make.maybe(0.4, () => make.duration(1)),
    lrs_server: make.maybe(0.3, () => ({ self: {} })),
    lrs_report_endpoint_metrics: make.maybe(0.2, () => ['named_metrics.*', 'cpu_utilization', make.name()]),
    circuit_breakers: make.maybe(0.4, () => circuitBreakers(make)),
    outlier_detection: make.maybe(0.3, () => outlierDetection(make)),
    metadata: make.maybe(0.3, () => clusterMetadata(make)),
    transport_socket: make.maybe(0.3, () => transportSocket(make)),
    http2_protocol_options: make.maybe(0.2, () => ({ connection_keepalive: make.maybe(0.5, () => keepAlive(make)) })),
    common_http_protocol_options: make.maybe(0.2, () => commonOptions(make)),
    max_requests_per_connection: make.maybe(0.1, () => make.uint32()),
    preconnect_policy: make.maybe(0.2, () => ({
      per_upstream_preconnect_ratio: make.maybe(0.5, () => ({ value: make.one(1, 1.5, 3) })),
      predictive_preconnect_ratio: make.maybe(0.5, () => ({ value: make.one(1, 2) })),
    })),
    typed_extension_protocol_options: make.maybe(0.4, () => ({ [PROTOCOL]: protocolOptions(make) })),
    health_checks: make.maybe(0.2, () => make.list(1, 2, () => healthCheck(make))),
  };
}

function discovery(make: Make): Resource {
  return make.any<Resource>(
    () => ({
      type: 'EDS',
      eds_cluster_config: { eds_config: ads(), service_name: make.maybe(0.5, () => make.name()) },
    }),
    () => ({ type: 'EDS', eds_cluster_config: { eds_config: { self: {} } } }),
    () => ({ type: make.maybe(0.5, () => 'STATIC'), load_assignment: assignment(make, 'x') }),
    () => ({ type: 'STRICT_DNS', ...dns(make), load_assignment: named(make, 2) }),
    () => ({ type: 'LOGICAL_DNS', ...dns(make), load_assignment: named(make, 1) }),
    () => ({
      cluster_type: {
        name: 'envoy.clusters.aggregate',
        typed_config: any('envoy.extensions.clusters.aggregate.v3.ClusterConfig', {
          clusters: make.list(1, 3, () => make.one('leaf', 'n', make.name())),
        }),
      },
    }),
  );
}

const dns = (make: Make): Resource => ({
  dns_lookup_family: make.maybe(0.5, () => make.one('AUTO', 'V4_ONLY', 'V6_ONLY', 'V4_PREFERRED', 'ALL')),
  dns_refresh_rate: make.maybe(0.3, () => make.duration(1)),
});

const named = (make: Make, most: number): Resource => ({
  cluster_name: 'x',
  endpoints: [{ lb_endpoints: make.list(1, most, (i) => endpoint(make, `h${i}.example.com`)) }],
});

function circuitBreakers(make: Make): Resource {
  const threshold = (): Resource => ({
    priority: make.maybe(0.5, () => make.one('DEFAULT', 'HIGH')),
    max_connections: make.maybe(0.5, () => make.uint32()),
    max_pending_requests: make.maybe(0.5, () => make.uint32()),
    max_requests: make.maybe(0.5, () => make.uint32()),
    max_retries: make.maybe(0.5, () => make.uint32()),
    retry_budget: make.maybe(0.3, () => ({
      budget_percent: make.maybe(0.7, () => ({ value: make.one(0, 20, 99.5, 100) })),
      min_retry_concurrency: make.maybe(0.5, () => make.uint32()),
    })),
  });
  return {
    thresholds: make.list(0, 2, threshold),
    per_host_thresholds: make.maybe(0.3, () => [{ max_connections: make.uint32(1) }]),
  };
}

const clusterMetadata = (make: Make): Resource => ({
  filter_metadata: {
    'inmesh.dev': {
      fields: {
        ...(make.flag() && {
          retry_budget: {
            struct_value: {
              fields: {
                retry_ratio: { number_value: make.one(0, 0.2, 1_000) },
                min_retries_per_second: { number_value: make.int(0, 100) },
                ttl_ms: { number_value: make.int(1_000, 60_000) },
              },
            },
          },
        }),
        ...(make.flag() && { batch_share: { number_value: make.one(0, 0.1, 1) } }),
        ...(make.flag() && { breaker: { struct_value: breaker(make) } }),
        ...(make.flag() && { fallback: { list_value: { values: make.list(0, 3, () => fallback(make)) } } }),
        ...(make.flag() && { warm_connections: { number_value: make.int(0, 3) } }),
        ...(make.flag() && { health_watch: { struct_value: { fields: { service: { string_value: 's' } } } } }),
      },
    },
    other: make.struct(),
  },
});

/** `breaker` of our metadata. */
const breaker = (make: Make): Resource => ({
  fields: {
    consecutive_failures: { number_value: make.int(make.flag() ? 0 : 1, 9) },
    success_rate: {
      struct_value: {
        fields: {
          threshold: { number_value: make.one(0.1, 0.8, 1) },
          window_ms: { number_value: make.int(100, 60_000) },
          buckets: { number_value: make.int(1, 100) },
        },
      },
    },
    base_penalty_ms: { number_value: make.int(1, 1_000) },
    max_penalty_ms: { number_value: make.int(1_000, 100_000) },
    jitter: { number_value: make.one(0, 0.5, 1) },
    probes: { number_value: make.int(1, 5) },
  },
});

/** One of `fallback` of our metadata. */
function fallback(make: Make): Resource {
  const text = (string_value: string): Resource => ({ string_value });
  const one = (kind: string, fields: Record<string, unknown>): Resource => ({
    struct_value: { fields: { [kind]: { struct_value: { fields } } } },
  });
  return make.any<Resource>(
    () => one('service', { cluster: text(make.one('other', 'é', 'leaf')) }),
    () => one('stale', { max_age_ms: { number_value: make.int(1, 100_000) } }),
    () =>
      one('static', {
        status: { number_value: make.int(200, 599) },
        headers: {
          list_value: { values: [{ struct_value: { fields: { name: text(make.header()), value: text('v') } } }] },
        },
        [make.one('body', 'body_base64')]: text('AAEC'),
        grpc_status: { number_value: make.int(0, 16) },
      }),
    () => one('function', { name: text(make.name()) }),
  );
}

function transportSocket(make: Make): Resource {
  const san = { san_type: 'DNS', matcher: { exact: 'example.com' } };
  return {
    name: 't',
    typed_config: make.any<Resource>(
      () => any('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer', { value: make.bytes() }),
      () =>
        any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
          sni: 'example.com',
          common_tls_context: {
            alpn_protocols: make.maybe(0.3, () => ['h2', 'http/1.1']),
            validation_context: {
              system_root_certs: {},
              match_typed_subject_alt_names: make.maybe(0.5, () => [san]),
            },
          },
        }),
    ),
  };
}

function protocolOptions(make: Make): Resource {
  const which = make.any<Resource>(
    () => ({ explicit_http_config: { http_protocol_options: {} } }),
    () => ({ explicit_http_config: { http2_protocol_options: { connection_keepalive: keepAlive(make) } } }),
    () => ({ use_downstream_protocol_config: {} }),
    () => ({ auto_config: { http2_protocol_options: {} } }),
  );
  return any(PROTOCOL, {
    ...which,
    common_http_protocol_options: make.maybe(0.5, () => commonOptions(make)),
  });
}

const commonOptions = (make: Make): Resource => ({
  idle_timeout: make.maybe(0.6, () => make.duration()),
  max_connection_duration: make.maybe(0.4, () => make.duration()),
  max_requests_per_connection: make.maybe(0.3, () => make.uint32(1)),
});

/** A valid `ClusterLoadAssignment`. */
export function assignment(make: Make, name: string): Resource {
  let locality = 0;
  const group = (priority: number): Resource => ({
    locality: { region: 'r', zone: `z${locality++}`, sub_zone: make.maybe(0.3, () => 's') },
    priority,
    load_balancing_weight: priority === 0 || make.flag() ? { value: make.int(1, 100) } : { value: 1 },
    lb_endpoints: make.list(0, 4, () => endpoint(make, make.ip())),
  });
  const priorities = make.int(1, 2);
  return {
    cluster_name: name,
    endpoints: Array.from({ length: priorities }, (_, priority) => make.list(1, 2, () => group(priority))).flat(),
    policy: make.maybe(0.3, () => ({
      drop_overloads: make.list(0, 2, () => ({
        category: make.one('lb', 'throttle'),
        drop_percentage: make.fraction(),
      })),
      overprovisioning_factor: make.maybe(0.3, () => make.uint32(1)),
    })),
  };
}

function endpoint(make: Make, address: string): Resource {
  const port = (): number => make.int(1, 65_535);
  const isName = /[a-z]\./.test(address);
  return {
    endpoint: {
      address: { socket_address: { address, port_value: port(), protocol: make.maybe(0.2, () => 'TCP') } },
      additional_addresses: isName
        ? undefined
        : make.maybe(0.2, () => [{ address: { socket_address: { address: make.ip(), port_value: port() } } }]),
      hostname: make.maybe(0.3, () => 'pod-1.example.com'),
      health_check_config: make.maybe(0.2, () => ({
        port_value: make.maybe(0.5, port),
        hostname: make.maybe(0.5, () => 'check.example.com'),
      })),
    },
    health_status: make.maybe(0.6, () =>
      make.one('UNKNOWN', 'HEALTHY', 'UNHEALTHY', 'DRAINING', 'TIMEOUT', 'DEGRADED'),
    ),
    load_balancing_weight: make.maybe(0.5, () => make.uint32(1, 1_000)),
    metadata: make.maybe(0.3, () => ({
      filter_metadata: {
        'envoy.lb': { fields: { ...(make.struct(1)['fields'] as object), hash_key: { string_value: make.name() } } },
        'inmesh.dev': make.struct(1),
      },
    })),
  };
}
