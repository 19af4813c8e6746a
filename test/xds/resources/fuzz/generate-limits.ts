import type { Resource } from '../../../../src/core/resources.js';
import { typedStruct } from '../../../support/route-filters.js';
import { any, type Make } from './make.js';

const ENVOY = 'envoy.extensions.filters.http';

/** `inmesh.dev/limits`. */
export const ownLimits = (make: Make): Resource =>
  typedStruct('inmesh.dev/limits', {
    rules: make.list(0, 3, (i) => rule(make, i)),
    status: make.maybe(0.3, () => make.int(400, 599)),
    grpc_status: make.maybe(0.3, () => make.one(8, 14)),
    headers: make.maybe(0.3, () => ({ x_rate_limit: make.one('off', 'epoch', 'seconds'), standard: make.flag() })),
  });

function rule(make: Make, index: number): object {
  const key = make.list(0, 3, () => limitKey(make));
  const store = make.one({ kind: 'local' }, { kind: 'redis' }, { kind: 'rls', service: 'limits', domain: 'd' });
  const isService = store.kind === 'rls';
  return {
    name: `rule-${index}`,
    when: make.maybe(0.3, () => make.list(0, 2, () => condition(make))),
    key,
    limit: isService ? undefined : limit(make),
    overrides: isService ? undefined : make.maybe(0.4, () => make.list(0, 2, () => override(make, key.length))),
    mode: make.maybe(0.3, () => make.one('enforce', 'shadow')),
    queue: isService
      ? undefined
      : make.maybe(0.3, () => ({ max_wait_ms: make.int(1, 200), max_length: make.int(1, 5) })),
    store: make.maybe(0.9, () => store) ?? (isService ? store : undefined),
    on_store_failure: make.maybe(0.3, () => make.one('allow', 'deny', 'local')),
    cost: make.maybe(0.3, () => make.one<unknown>(0, 3, { header: 'x-env' })),
    meter: make.maybe(0.2, () => make.one({}, { plan: 'gold' })),
  };
}

const override = (make: Make, length: number): object => ({
  values: Array.from({ length }, () => make.one<string | null>(null, 'a', 'é')),
  limit: make.any<unknown>(
    () => limit(make),
    () => make.one('unlimited', 'skip'),
  ),
});

function limit(make: Make): object {
  const requests = make.one(0, 1, 100);
  const per_ms = make.one(1, 1_000, 86_400_000);
  return make.any<object>(
    () => ({ requests, per_ms, burst: make.maybe(0.5, () => make.int(1, 9)) }),
    () => ({ algorithm: make.one('fixed_window', 'sliding_window', 'sliding_log'), requests, per_ms }),
    () => ({
      algorithm: 'calendar',
      requests,
      per: make.one('minute', 'hour', 'day', 'week', 'month', 'year'),
      time_zone: make.maybe(0.5, () => make.one('UTC', 'Europe/Berlin', 'Pacific/Apia')),
    }),
  );
}

const condition = (make: Make): object => ({
  ...make.any<object>(
    () => ({ prefix: make.path() }),
    () => ({ safe_regex: make.regex() }),
  ),
  headers: make.maybe(0.5, () => [make.headerMatcher()]),
  runtime_fraction: make.maybe(0.2, () => ({ default_value: make.fraction() })),
});

const limitKey = (make: Make): object => ({
  as: make.maybe(0.3, () => make.name()),
  absent: make.maybe(0.4, () => make.one('empty', 'skip-entry', 'skip-rule')),
  ...make.any<object>(
    () => ({ kind: 'header', name: make.one('x-env', ':path') }),
    () => ({ kind: 'query', name: 'q' }),
    () => ({ kind: 'remote_address', v4_bits: make.maybe(0.5, () => make.int(0, 32)) }),
    () => ({ kind: 'claim', path: make.one(['sub'], ['a', '__proto__']) }),
    () => ({ kind: make.one('identity', 'route', 'method', 'path', 'host', 'destination', 'source') }),
    () => ({ kind: 'generic', value: make.name() }),
    () => ({ kind: 'match', value: 'v', headers: [make.headerMatcher()], expect: make.flag() }),
  ),
});

/** `inmesh.dev/fault`. */
export const ownFault = (make: Make): Resource =>
  typedStruct('inmesh.dev/fault', {
    name: make.maybe(0.5, () => make.name()),
    delay: make.maybe(0.4, () => ({
      share: share(make),
      ...make.any<object>(
        () => ({ kind: 'fixed', ms: make.int(0, 50) }),
        () => ({ kind: 'uniform', min_ms: 1, max_ms: make.int(1, 9) }),
        () => ({ kind: 'normal', mean_ms: 5, deviation_ms: 3, max_ms: 9 }),
        () => ({ kind: 'exponential', mean_ms: 5, max_ms: 9 }),
        () => ({ kind: 'header' }),
      ),
    })),
    abort: make.maybe(0.4, () => ({
      share: share(make),
      of: make.maybe(0.3, () => make.one(100, 10_000, 1_000_000)),
      ...make.one<object>({ kind: 'http', status: 503 }, { kind: 'grpc', status: 14 }, { kind: 'header' }),
    })),
    reset: make.maybe(0.2, () => ({ share: share(make) })),
    throttle: make.maybe(0.2, () => ({ share: share(make), kind: 'fixed', bytes_per_second: make.int(1, 1_000_000) })),
    truncate: make.maybe(0.2, () => ({ share: share(make), after_bytes: make.int(0, 9) })),
    headers: make.maybe(0.3, () => [make.headerMatcher()]),
    cluster: make.maybe(0.2, () => make.name()),
    downstream_nodes: make.maybe(0.1, () => ['n']),
    max_active: make.maybe(0.3, () => make.int(0, 2)),
    experiment: make.maybe(0.3, () => ({
      id: make.name(),
      duration_ms: make.int(1, 10_000),
      guards: make.list(0, 2, () => ({
        window_ms: 1_000,
        min_requests: 1,
        ...make.one<object>(
          { kind: 'success-rate', min: 0.9 },
          { kind: 'latency', percentile: 0.5, max_ms: make.int(0, 9) },
        ),
      })),
    })),
  });

const share = (make: Make): number => make.one(0, 0.5, 1);

/** The fields of `HTTPFault`. */
export const fault = (make: Make): Resource => ({
  delay: make.maybe(0.3, () => ({
    ...make.one<Resource>({ fixed_delay: { nanos: 1_000_000 } }, { header_delay: {} }),
    percentage: make.maybe(0.8, () => make.fraction()),
  })),
  abort: make.maybe(0.3, () => ({
    ...make.one<Resource>({ http_status: 503 }, { grpc_status: 14 }, { grpc_status: 99 }, { header_abort: {} }),
    percentage: make.maybe(0.8, () => make.fraction()),
  })),
  response_rate_limit: make.maybe(0.3, () => ({
    ...make.one<Resource>({ fixed_limit: { limit_kbps: 8 } }, { header_limit: {} }),
    percentage: make.maybe(0.8, () => make.fraction()),
  })),
  upstream_cluster: make.maybe(0.2, () => make.name()),
  headers: make.maybe(0.3, () => [make.headerMatcher()]),
  downstream_nodes: make.maybe(0.1, () => ['n']),
  max_active_faults: make.maybe(0.2, () => make.uint32()),
});

/** `route.v3.RateLimit`. */
export const rateLimit = (make: Make): Resource => ({
  stage: make.maybe(0.1, () => make.uint32(0, 10)),
  disable_key: make.maybe(0.1, () => 'k'),
  hits_addend: make.maybe(0.2, () => make.one<Resource>({ number: { value: 3 } }, { format: '%REQ(x-env)%' }, {})),
  actions: make.list(1, 3, () =>
    make.any<Resource>(
      () => ({ generic_key: { descriptor_value: 'v', descriptor_key: make.maybe(0.5, () => make.one('a', 'b')) } }),
      () => ({
        request_headers: { header_name: make.one('x-env', ':path'), descriptor_key: 'a', skip_if_absent: make.flag() },
      }),
      () => ({ query_parameters: { query_parameter_name: 'q', descriptor_key: 'b', skip_if_absent: make.flag() } }),
      () => make.one<Resource>({ remote_address: {} }, { source_cluster: {} }, { destination_cluster: {} }),
      () => ({ masked_remote_address: { v4_prefix_mask_len: make.uint32(0, 32) } }),
      () => ({
        header_value_match: { descriptor_value: 'v', expect_match: make.bool(), headers: [make.headerMatcher()] },
      }),
      () => ({ query_parameter_value_match: { descriptor_value: 'v', query_parameters: [{ name: 'q' }] } }),
    ),
  ),
});

/** Of a route: also what is nothing to it unless a filter counts by it. */
export const routeRateLimit = (make: Make): Resource => ({
  ...rateLimit(make),
  ...make.maybe(0.2, () =>
    make.one<Resource>(
      { apply_on_stream_done: true },
      { hits_addend: { format: '%BYTES_RECEIVED%' } },
      { actions: [{ metadata: { descriptor_key: 'k', metadata_key: { key: 'x' } } }] },
      { actions: [{}] },
    ),
  ),
});

const bucket = (make: Make): Resource => ({
  max_tokens: make.int(1, 9),
  tokens_per_fill: make.maybe(0.5, () => ({ value: make.int(1, 9) })),
  fill_interval: { seconds: make.int(1, 60) },
});

/** `LocalRateLimit`. */
export const localRateLimit = (make: Make): Resource =>
  any(`${ENVOY}.local_ratelimit.v3.LocalRateLimit`, {
    stat_prefix: 's',
    token_bucket: bucket(make),
    filter_enabled: make.maybe(0.9, () => ({ default_value: make.fraction() })),
    filter_enforced: make.maybe(0.8, () => ({ default_value: { numerator: make.one(0, 100) } })),
    status: make.maybe(0.3, () => ({ code: make.one('TooManyRequests', 'ServiceUnavailable') })),
    response_headers_to_add: make.maybe(0.2, () => [{ header: { key: 'x-limited', value: 'yes' } }]),
    descriptors: make.maybe(0.5, () => [
      { entries: [{ key: 'a', value: make.one('', 'v') }], token_bucket: bucket(make) },
      { entries: [{ key: 'a' }, { key: 'b', value: 'v' }], token_bucket: bucket(make) },
    ]),
    always_consume_default_token_bucket: make.maybe(0.3, () => make.bool()),
    rate_limits: make.maybe(0.2, () => [rateLimit(make)]),
    vh_rate_limits: make.maybe(0.3, () => make.one('OVERRIDE', 'INCLUDE', 'IGNORE')),
    enable_x_ratelimit_headers: make.maybe(0.3, () => make.one('OFF', 'DRAFT_VERSION_03')),
    rate_limited_as_resource_exhausted: make.maybe(0.3, () => make.flag()),
  });

/** `RateLimit`, the filter. */
export const rateLimitService = (make: Make): Resource =>
  any(`${ENVOY}.ratelimit.v3.RateLimit`, {
    domain: 'd',
    stage: make.maybe(0.1, () => make.int(0, 10)),
    request_type: make.maybe(0.3, () => make.one('internal', 'external', 'both', '')),
    timeout: make.maybe(0.3, () => ({ nanos: 5_000_000 })),
    failure_mode_deny: make.maybe(0.5, () => make.flag()),
    rate_limit_service: {
      grpc_service: { envoy_grpc: { cluster_name: make.name() } },
      transport_api_version: make.maybe(0.5, () => 'V3'),
    },
    disable_x_envoy_ratelimited_header: make.maybe(0.3, () => make.flag()),
  });

export const rateLimitOverride = (make: Make): Resource =>
  any(`${ENVOY}.ratelimit.v3.RateLimitPerRoute`, {
    vh_rate_limits: make.maybe(0.5, () => make.one('OVERRIDE', 'INCLUDE', 'IGNORE')),
    domain: make.maybe(0.3, () => 'other'),
  });

/** `AdaptiveConcurrency`, of servers. */
export const adaptiveConcurrency = (make: Make): Resource =>
  any(`${ENVOY}.adaptive_concurrency.v3.AdaptiveConcurrency`, {
    gradient_controller_config: {
      sample_aggregate_percentile: make.maybe(0.5, () => make.percent()),
      concurrency_limit_params: { concurrency_update_interval: { seconds: 1 } },
      min_rtt_calc_params: {
        ...make.one<Resource>({ interval: { seconds: 1 } }, { fixed_value: { nanos: 1_000_000 } }),
        jitter: make.maybe(0.3, () => make.percent()),
        request_count: make.maybe(0.3, () => make.uint32(1)),
      },
    },
    enabled: make.maybe(0.3, () => ({ default_value: make.bool(), runtime_key: 'k' })),
  });
