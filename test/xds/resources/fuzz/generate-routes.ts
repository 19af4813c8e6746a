import type { Resource } from '../../../../src/core/resources.js';
import { cors, sessionOverride } from './generate-filters.js';
import { fault, localRateLimit, ownFault, ownLimits, rateLimitOverride, routeRateLimit } from './generate-limits.js';
import { any, type Make } from './make.js';

/** A valid `RouteConfiguration` that may have every field that its decoder reads. */
export function routeConfiguration(make: Make, name: string): Resource {
  return {
    name,
    ignore_port_in_host_matching: make.maybe(0.3, () => make.flag()),
    most_specific_header_mutations_wins: make.maybe(0.3, () => make.flag()),
    max_direct_response_body_size_bytes: make.maybe(0.2, () => make.uint32(64)),
    cluster_specifier_plugins: [{ extension: { name: 'p', typed_config: make.unknown() }, is_optional: true }],
    typed_per_filter_config: make.maybe(0.1, () => overrides(make)),
    request_mirror_policies: make.maybe(0.1, () => [mirror(make)]),
    ...make.headerChanges(),
    virtual_hosts: make.list(1, 2, (i) => virtualHost(make, i)),
  };
}

function virtualHost(make: Make, index: number): Resource {
  const domains = [`h${index}.example.com`, `*.s${index}`, `p${index}.*`, ...(index === 0 ? ['*'] : [])];
  return {
    name: make.name(),
    domains: index === 0 && make.flag() ? ['*'] : domains.slice(make.random.int(domains.length)),
    retry_policy: make.maybe(0.2, () => retryPolicy(make)),
    hedge_policy: make.maybe(0.2, () => hedgePolicy(make)),
    typed_per_filter_config: make.maybe(0.1, () => overrides(make)),
    request_mirror_policies: make.maybe(0.1, () => [mirror(make)]),
    cors: make.maybe(0.1, () => cors(make)),
    rate_limits: make.maybe(0.2, () => make.list(1, 2, () => routeRateLimit(make))),
    include_request_attempt_count: make.maybe(0.1, () => make.flag()),
    include_attempt_count_in_response: make.maybe(0.1, () => make.flag()),
    ...make.headerChanges(),
    routes: make.list(0, 2, () => route(make)),
  };
}

function route(make: Make): Resource {
  const match = routeMatch(make);
  return {
    name: make.maybe(0.5, () => make.name()),
    match,
    metadata: make.maybe(0.2, () => ({ filter_metadata: { 'inmesh.dev': { fields: { hedge: hedge(make) } } } })),
    typed_per_filter_config: make.maybe(0.1, () => overrides(make)),
    ...make.headerChanges(),
    ...make.any<Resource>(
      () => ({ route: routeAction(make) }),
      () => ({ route: routeAction(make) }),
      () => ({ route: routeAction(make) }),
      () => ({ redirect: redirect(make) }),
      () => ({ direct_response: directResponse(make) }),
      () => make.one<Resource>({ non_forwarding_action: {} }, { filter_action: {} }, {}),
    ),
  };
}

function routeMatch(make: Make): Resource {
  const path = make.any<Resource>(
    () => ({ prefix: make.one('', make.path()) }),
    () => ({ path: make.path() }),
    () => ({ path_separated_prefix: make.one('/a', '/a/b') }),
    () => ({ safe_regex: make.regex() }),
  );
  return {
    ...path,
    case_sensitive: make.maybe(0.2, () => make.bool()),
    headers: make.maybe(0.4, () => make.list(1, 3, () => make.headerMatcher())),
    query_parameters: make.maybe(0.2, () => make.list(1, 2, () => queryMatcher(make))),
    runtime_fraction: make.maybe(0.2, () => ({ default_value: make.fraction(), runtime_key: 'k' })),
    grpc: make.maybe(0.1, () => ({})),
    tls_context: make.maybe(0.05, () => ({ presented: make.bool() })),
    dynamic_metadata: make.maybe(0.2, () => [make.random.int(6) === 0 ? { filter: 'f' } : source(make)]),
  };
}

const source = (make: Make): Resource => ({
  filter: 'inmesh.dev/source',
  path: make.one([{ key: 'principal' }], [{ key: 'labels' }, { key: 'app' }]),
  value: { string_match: make.string() },
  invert: make.maybe(0.3, () => make.flag()),
});

function queryMatcher(make: Make): Resource {
  const specifier = make.any<Resource>(
    () => ({ string_match: make.string() }),
    () => ({ present_match: make.flag() }),
    () => ({}),
  );
  return { name: make.one('q', 'debug'), ...specifier };
}

function routeAction(make: Make): Resource {
  const specifier = make.any<Resource>(
    () => ({ cluster: make.name() }),
    () => ({ cluster: make.name() }),
    () => ({ weighted_clusters: weightedClusters(make) }),
    () => make.one<Resource>({ cluster_specifier_plugin: 'p' }, { cluster_header: 'x-cluster' }, {}),
    () => ({ inline_cluster_specifier_plugin: { extension: { name: 'q' }, is_optional: true } }),
  );
  const host = make.any<Resource>(
    () => ({}),
    () => ({ host_rewrite_literal: make.host() }),
    () => ({ auto_host_rewrite: make.bool() }),
    () => ({ host_rewrite_header: make.one('x-host', '') }),
    () => ({ host_rewrite_path_regex: make.rewrite() }),
  );
  const path = make.any<Resource>(
    () => ({}),
    () => ({ prefix_rewrite: make.path() }),
    () => ({ regex_rewrite: make.rewrite() }),
  );
  return {
    ...specifier,
    ...host,
    ...path,
    timeout: make.maybe(0.3, () => make.duration()),
    retry_policy: make.maybe(0.3, () => retryPolicy(make)),
    hedge_policy: make.maybe(0.2, () => hedgePolicy(make)),
    priority: make.maybe(0.2, () => make.one('DEFAULT', 'HIGH')),
    max_stream_duration: make.maybe(0.3, () => ({
      max_stream_duration: make.maybe(0.5, () => make.duration()),
      grpc_timeout_header_max: make.maybe(0.5, () => make.duration()),
    })),
    hash_policy: make.maybe(0.3, () => make.list(1, 3, () => hashPolicy(make))),
    rate_limits: make.maybe(0.2, () => make.list(1, 2, () => routeRateLimit(make))),
    include_vh_rate_limits: make.maybe(0.1, () => make.bool()),
    request_mirror_policies: make.maybe(0.2, () => make.list(1, 2, () => mirror(make))),
    cors: make.maybe(0.1, () => cors(make)),
    append_x_forwarded_host: make.maybe(0.2, () => make.flag()),
    idle_timeout: make.maybe(0.2, () => make.duration()),
    metadata_match: make.maybe(0.2, () => make.labels()),
  };
}

const weightedClusters = (make: Make): Resource => ({
  clusters: make.list(1, 4, (i) => weightedCluster(make, i)),
  ...make.any<Resource>(
    () => ({}),
    () => ({ header_name: make.one('x-dice', '') }),
    () => ({ use_hash_policy: make.bool() }),
  ),
});

const mirror = (make: Make): Resource => ({
  cluster: make.name(),
  runtime_fraction: make.maybe(0.5, () => ({ default_value: make.fraction() })),
  disable_shadow_host_suffix_append: make.maybe(0.3, () => make.flag()),
  host_rewrite_literal: make.maybe(0.3, () => make.host()),
  request_headers_mutations: make.list(0, 2, () =>
    make.any<Resource>(
      () => ({ remove: make.header() }),
      () => ({ append: make.headerToAdd() }),
    ),
  ),
});

function weightedCluster(make: Make, index: number): Resource {
  return {
    name: make.name(),
    // The first has some, so that the sum is not 0.
    weight: { value: index === 0 ? make.int(1, 100) : make.one(0, 1, 7, 1_000_000_000) },
    metadata_match: make.maybe(0.2, () => make.labels()),
    host_rewrite_literal: make.maybe(0.2, () => make.host()),
    ...make.headerChanges(),
  };
}

function hashPolicy(make: Make): Resource {
  const specifier = make.any<Resource>(
    () => ({ header: { header_name: make.header(), regex_rewrite: make.maybe(0.5, () => make.rewrite()) } }),
    () => ({ filter_state: { key: make.one('io.grpc.channel_id', 'x') } }),
    () => ({
      cookie: {
        name: 'c',
        ttl: make.maybe(0.5, () => make.duration()),
        path: make.maybe(0.5, () => make.path()),
        attributes: make.list(0, 2, () => ({ name: 'SameSite', value: make.one('Lax', '') })),
      },
    }),
    () => ({ connection_properties: { source_ip: make.flag() } }),
    () => ({ query_parameter: { name: 'q' } }),
  );
  return { ...specifier, terminal: make.maybe(0.3, () => make.flag()) };
}

const hedgePolicy = (make: Make): Resource => ({
  initial_requests: make.maybe(0.3, () => make.uint32(1)),
  hedge_on_per_try_timeout: make.flag(),
});

/** `hedge` of our metadata. */
const hedge = (make: Make): Resource => ({
  struct_value: {
    fields: {
      max_attempts: { number_value: make.int(2, 9) },
      ...(make.flag() && { delay_ms: { number_value: make.int(0, 500) } }),
      percentile: { number_value: make.one(0.01, 0.5, 0.9999) },
      max_extra_load: { number_value: make.one(0.01, 1) },
      non_fatal_statuses: { list_value: { values: make.list(0, 2, () => ({ string_value: 'UNAVAILABLE' })) } },
      on_per_try_timeout: { bool_value: make.flag() },
    },
  },
});

export function retryPolicy(make: Make): Resource {
  return {
    retry_on: make.one(
      '5xx',
      'reset, connect-failure',
      ' Unavailable,cancelled',
      'gateway-error,nonsense',
      'retriable-headers,envoy-ratelimited',
      '',
    ),
    num_retries: make.maybe(0.5, () => make.uint32(1)),
    per_try_timeout: make.maybe(0.3, () => make.duration()),
    retriable_status_codes: make.maybe(0.3, () => [503, 429]),
    per_try_idle_timeout: make.maybe(0.2, () => make.duration()),
    retriable_headers: make.maybe(0.2, () => [make.headerMatcher()]),
    retriable_request_headers: make.maybe(0.2, () => [make.headerMatcher()]),
    rate_limited_retry_back_off: make.maybe(0.2, () => ({
      reset_headers: make.list(1, 2, () => ({
        name: make.header(),
        format: make.maybe(0.5, () => make.one('SECONDS', 'UNIX_TIMESTAMP')),
      })),
      max_interval: make.maybe(0.5, () => make.duration(1)),
    })),
    retry_host_predicate: make.maybe(0.2, () => [{ name: 'envoy.retry_host_predicates.previous_hosts' }]),
    host_selection_retry_max_attempts: make.maybe(0.2, () => make.int(-1, 200)),
    retry_back_off: make.maybe(0.4, () => ({
      base_interval: { nanos: make.one(1, 25_000_000, 999_999_999) },
      max_interval: make.maybe(0.5, () => make.duration(1)),
    })),
  };
}

function redirect(make: Make): Resource {
  const scheme = make.any<Resource>(
    () => ({}),
    () => ({ https_redirect: make.flag() }),
    () => ({ scheme_redirect: make.one('https', 'HTTP') }),
  );
  const path = make.any<Resource>(
    () => ({}),
    () => ({ path_redirect: make.path() }),
    () => ({ prefix_rewrite: make.path() }),
    () => ({ regex_rewrite: make.rewrite() }),
  );
  return {
    ...scheme,
    ...path,
    host_redirect: make.maybe(0.4, () => make.host()),
    port_redirect: make.maybe(0.3, () => make.int(0, 65_535)),
    response_code: make.maybe(0.5, () =>
      make.one('MOVED_PERMANENTLY', 'FOUND', 'SEE_OTHER', 'TEMPORARY_REDIRECT', 'PERMANENT_REDIRECT'),
    ),
    strip_query: make.maybe(0.3, () => make.flag()),
  };
}

function directResponse(make: Make): Resource {
  return {
    status: make.one(200, 204, 404, 503, 599),
    body: make.maybe(0.7, () =>
      make.any<Resource>(
        () => ({ inline_string: make.name() }),
        () => ({ inline_bytes: make.bytes() }),
        () => ({}),
      ),
    ),
  };
}

const FILTER_CONFIG = 'envoy.config.route.v3.FilterConfig';

/** `typed_per_filter_config` with overrides that have no effect at a client. */
function overrides(make: Make): Resource {
  const override = make.any<Resource>(
    () => any(FILTER_CONFIG, { is_optional: true, config: make.unknown() }),
    () => any('envoy.extensions.filters.http.cors.v3.CorsPolicy', cors(make)),
    () => sessionOverride(make),
    () => any(FILTER_CONFIG, { config: sessionOverride(make) }),
    () => any(FILTER_CONFIG, { disabled: true, config: any('envoy.extensions.filters.http.fault.v3.HTTPFault') }),
    () => any('envoy.extensions.filters.http.fault.v3.HTTPFault', fault(make)),
    () => ownFault(make),
    () => ownLimits(make),
    () => localRateLimit(make),
    () => rateLimitOverride(make),
    () => any('envoy.extensions.filters.http.rbac.v3.RBACPerRoute', { rbac: make.maybe(0.8, () => rbac(make)) }),
  );
  return { [make.one('session', 'cors', 'fault', 'own-fault', 'limits', 'local', 'rls', 'g', '__x')]: override };
}

/** `envoy.extensions.filters.http.rbac.v3.RBAC`. */
export function rbac(make: Make): Resource {
  const rule = (): Resource =>
    make.any<Resource>(
      () => ({ any: true }),
      () => ({ header: { ...make.headerMatcher(), name: 'x-env' } }),
      () => ({ url_path: { path: make.string() } }),
    );
  const policy = (): Resource => ({
    permissions: make.list(1, 2, () =>
      make.any<Resource>(
        rule,
        () => ({ and_rules: { rules: [rule()] } }),
        () => ({ not_rule: rule() }),
        () => ({ destination_port: make.int(1, 65_535) }),
        () => ({ destination_ip: { address_prefix: '10.0.0.0', prefix_len: { value: 8 } } }),
      ),
    ),
    principals: make.list(1, 2, () =>
      make.any<Resource>(
        rule,
        () => ({ or_ids: { ids: [rule()] } }),
        () => ({ not_id: rule() }),
        () => ({ authenticated: { principal_name: make.maybe(0.5, () => make.string()) } }),
        () => ({ direct_remote_ip: { address_prefix: '::1', prefix_len: { value: 128 } } }),
      ),
    ),
  });
  return { rules: { action: make.one('ALLOW', 'DENY', 'LOG'), policies: { p: policy(), q: policy() } } };
}
