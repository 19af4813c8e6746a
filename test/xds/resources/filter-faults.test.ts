import { describe, expect, test } from 'vitest';
import type { FaultConfig } from '../../../src/core/model/fault.js';
import type { Route } from '../../../src/core/model/route.js';
import { LISTENER, type Resource } from '../../../src/core/resources.js';
import { decoders } from '../../support/decoders.js';
import { filterOf, override, servedRoute, typedStruct } from '../../support/route-filters.js';
import { serverResource } from '../../support/server-resources.js';
import { any } from '../../support/xds-resources.js';
import { refusesBy, type Rule } from '../../support/xds-rules.js';

const FAULT = 'envoy.extensions.filters.http.fault.v3.HTTPFault';
const OWN = 'inmesh.dev/fault';
const percent = (numerator: number, denominator?: string): Resource => ({
  percentage: { numerator, ...(denominator !== undefined && { denominator }) },
});
const abort = (http_status: number): Resource => ({ abort: { http_status, ...percent(100) } });
const envoy = (fields: Resource): Resource => any(FAULT, fields);

const faultsOf = (...filters: Resource[]): Route['faults'] => servedRoute(filters).faults;
const read = (fields: Resource): FaultConfig | undefined => faultsOf(filterOf('f', envoy(fields)))?.[0];
const readOwn = (fields: unknown): FaultConfig | undefined => faultsOf(filterOf('f', typedStruct(OWN, fields)))?.[0];

describe('HTTPFault', () => {
  test('every field of HTTPFault is taken (A33, fault.proto)', () => {
    const found = read({
      delay: { fixed_delay: { seconds: 1, nanos: 500_000_000 }, ...percent(5, 'TEN_THOUSAND') },
      abort: { grpc_status: 14, ...percent(50) },
      response_rate_limit: { fixed_limit: { limit_kbps: 8 }, ...percent(1, 'MILLION') },
      upstream_cluster: 'c',
      headers: [{ name: 'X-Chaos', string_match: { exact: 'on' } }],
      downstream_nodes: ['n'],
      max_active_faults: { value: 3 },
      delay_percent_runtime: 'ignored',
    });
    expect(found).toEqual({
      name: 'f',
      delay: { kind: 'fixed', ms: 1_500, share: 0.0005, of: 10_000 },
      abort: { kind: 'grpc', status: 14, share: 0.5 },
      throttle: { kind: 'fixed', bytesPerSecond: 8_192, share: 0.000001, of: 1_000_000 },
      headers: [
        {
          name: 'x-chaos',
          match: { kind: 'exact', value: 'on', ignoreCase: false },
          invert: false,
          treatMissingAsEmpty: false,
        },
      ],
      cluster: 'c',
      downstreamNodes: ['n'],
      maxActive: 3,
    });
  });

  test('headers of the request control what is configured so, up to the configured share', () => {
    const found = read({
      delay: { header_delay: {}, ...percent(100) },
      abort: { header_abort: {}, ...percent(20) },
      response_rate_limit: { header_limit: {}, ...percent(100) },
    });
    expect(found).toMatchObject({
      delay: { kind: 'header', share: 1 },
      abort: { kind: 'header', share: 0.2 },
      throttle: { kind: 'header', share: 1 },
    });
  });

  test('a percentage that is not set is 0, and what befalls nobody is left out', () => {
    expect(read({ abort: { http_status: 503 } })).toBeUndefined();
    expect(read({ abort: { http_status: 503 }, delay: { header_delay: {}, ...percent(1) } })).not.toHaveProperty(
      'abort',
    );
  });

  test('more than the whole is the whole', () => {
    expect(read({ abort: { http_status: 418, ...percent(101) } })).toMatchObject({ abort: { status: 418, share: 1 } });
  });

  test('a status that gRPC does not have is UNKNOWN', () => {
    expect(read({ abort: { grpc_status: 99, ...percent(100) } })?.abort).toEqual({ kind: 'grpc', status: 2, share: 1 });
  });

  test('of a server are those of its chain’s routes', () => {
    const route = { match: { prefix: '/' }, non_forwarding_action: {}, ...override(['f', envoy(abort(503))]) };
    const listener = decoders[LISTENER](
      serverResource('l', {
        rds: undefined,
        route_config: { virtual_hosts: [{ name: 'v', domains: ['*'], routes: [route] }] },
        http_filters: [filterOf('f', envoy({})), filterOf('r', any('envoy.extensions.filters.http.router.v3.Router'))],
      }),
      'l',
    );
    const routes = listener.kind === 'server' ? listener.listener.filterChains[0]?.routes : undefined;
    const [host] = routes?.kind === 'inline' ? routes.config.virtualHosts : [];
    expect(host?.routes[0]?.faults).toMatchObject([{ name: 'f', abort: { status: 503 } }]);
    expect(host?.routes[0]).not.toHaveProperty('overrides');
  });
});

describe('faults of several filters', () => {
  const two = [filterOf('a', envoy(abort(501))), filterOf('b', typedStruct(OWN, { reset: { share: 0.5 } }))];

  test('are all rolled, in the order of the filters', () => {
    expect(faultsOf(...two)).toMatchObject([
      { name: 'a', abort: { status: 501 } },
      { name: 'b', reset: { share: 0.5 } },
    ]);
  });

  test('of a route take the place of the filter’s, each by its name (A33)', () => {
    const levels = {
      route: override(['a', envoy(abort(502))]),
      host: override(['a', envoy(abort(503))], ['b', envoy({})]),
    };
    expect(servedRoute(two, levels).faults).toMatchObject([{ name: 'a', abort: { status: 502 } }]);
    expect(servedRoute(two, { host: levels.host }).faults).toMatchObject([{ abort: { status: 503 } }]);
  });

  test('are off where the route switches the filter off, or the listener does and no route switches it on', () => {
    const off = any('envoy.config.route.v3.FilterConfig', { disabled: true });
    expect(servedRoute(two, { route: override(['a', off], ['b', off]) }).faults).toBeUndefined();
    const disabled = [filterOf('a', envoy(abort(501)), { disabled: true })];
    expect(servedRoute(disabled).faults).toBeUndefined();
    expect(servedRoute(disabled, { route: override(['a', envoy(abort(502))]) }).faults).toMatchObject([
      { abort: { status: 502 } },
    ]);
  });

  test('of a route without a filter for them come to nothing (A39)', () => {
    expect(servedRoute([], { route: override(['a', envoy(abort(502))]) }).faults).toBeUndefined();
  });

  test('of one weighted cluster stand in for the route’s', () => {
    const clusters = [
      { name: 'x', weight: { value: 1 }, ...override(['a', envoy(abort(504))]) },
      { name: 'y', weight: { value: 1 } },
    ];
    const { action, faults } = servedRoute(two.slice(0, 1), { route: { route: { weighted_clusters: { clusters } } } });
    expect(faults).toMatchObject([{ abort: { status: 501 } }]);
    const own = action.kind === 'forward' ? action.clusters.map((cluster) => cluster.own?.faults) : [];
    expect(own).toMatchObject([[{ abort: { status: 504 } }], undefined as unknown as object]);
  });
});

describe('inmesh.dev/fault', () => {
  test('takes every field', () => {
    const guards = [
      { kind: 'success-rate', min: 0.9, window_ms: 10_000, min_requests: 20 },
      { kind: 'latency', percentile: 0.99, max_ms: 250, window_ms: 10_000, min_requests: 20 },
    ];
    const found = readOwn({
      name: 'shop/chaos',
      delay: { kind: 'normal', mean_ms: 10, deviation_ms: 2, max_ms: 50, share: 0.1 },
      abort: { kind: 'http', status: 503, share: 0.2, of: 10_000 },
      reset: { share: 0.3 },
      throttle: { kind: 'fixed', bytes_per_second: 1_000, share: 1 },
      truncate: { after_bytes: 0, share: 0.4 },
      headers: [{ name: 'x', present_match: true }],
      cluster: 'c',
      downstream_nodes: ['n'],
      max_active: 0,
      experiment: { id: 'e', duration_ms: 60_000, guards },
    });
    expect(found).toEqual({
      name: 'shop/chaos',
      delay: { kind: 'normal', meanMs: 10, deviationMs: 2, maxMs: 50, share: 0.1 },
      abort: { kind: 'http', status: 503, share: 0.2, of: 10_000 },
      reset: { share: 0.3 },
      throttle: { kind: 'fixed', bytesPerSecond: 1_000, share: 1 },
      truncate: { share: 0.4, afterBytes: 0 },
      headers: [{ name: 'x', match: { kind: 'present', present: true }, invert: false, treatMissingAsEmpty: false }],
      cluster: 'c',
      downstreamNodes: ['n'],
      maxActive: 0,
      experiment: {
        id: 'e',
        durationMs: 60_000,
        guards: [
          { kind: 'success-rate', min: 0.9, windowMs: 10_000, minRequests: 20 },
          { kind: 'latency', percentile: 0.99, maxMs: 250, windowMs: 10_000, minRequests: 20 },
        ],
      },
    });
  });

  test.each([
    [
      { kind: 'fixed', ms: 5 },
      { kind: 'fixed', ms: 5 },
    ],
    [
      { kind: 'uniform', min_ms: 1, max_ms: 2 },
      { kind: 'uniform', minMs: 1, maxMs: 2 },
    ],
    [
      { kind: 'exponential', mean_ms: 1, max_ms: 2 },
      { kind: 'exponential', meanMs: 1, maxMs: 2 },
    ],
    [{ kind: 'header' }, { kind: 'header' }],
  ])('delays by %o', (given, delay) => {
    expect(readOwn({ delay: { ...given, share: 1 } })?.delay).toEqual({ ...delay, share: 1 });
  });

  test('is named for its filter when it has no name, and does nothing when it says nothing', () => {
    expect(readOwn({ reset: { share: 1 } })?.name).toBe('f');
    expect(readOwn({})).toBeUndefined();
    expect(readOwn({ reset: { share: 0 } })).toBeUndefined();
  });
});

const at = 'http_filters[0].typed_config';
const source = 'fault.proto';
const ENVOY: readonly Rule<Resource>[] = [
  {
    rule: 'a throttle has no kind',
    source,
    resource: { response_rate_limit: {} },
    problem: `${at}.response_rate_limit: must have fixed_limit or header_limit`,
  },
  {
    rule: 'a throttle is of 0 KiB/s',
    source,
    resource: { response_rate_limit: { fixed_limit: {} } },
    problem: `${at}.response_rate_limit.fixed_limit.limit_kbps: must be at least 1 KiB/s, got 0`,
  },
  {
    rule: 'a delay is longer than a duration can be',
    source: 'duration.proto',
    resource: { delay: { fixed_delay: { seconds: 315_576_000_001 } } },
    problem: `${at}.delay.fixed_delay: must be a duration`,
  },
  {
    rule: 'an abort has two kinds',
    source,
    resource: { abort: { http_status: 503, grpc_status: 14 } },
    problem: `${at}.abort: only one of http_status, grpc_status may be set`,
  },
];
refusesBy('LDS client, faults', read, ENVOY);

const own = `${at}.value`;
const OWN_RULES: readonly Rule<unknown>[] = [
  {
    rule: 'a field is unknown',
    source: OWN,
    resource: { dealy: {} },
    problem: `${own}.dealy: unknown field; did you mean "delay"?`,
  },
  {
    rule: 'a delay has no kind',
    source: OWN,
    resource: { delay: { share: 1 } },
    problem: `${own}.delay.kind: must be set to one of`,
  },
  {
    rule: 'a delay has a field of another kind',
    source: OWN,
    resource: { delay: { kind: 'fixed', ms: 1, share: 1, mean_ms: 3 } },
    problem: `${own}.delay.mean_ms: unknown field`,
  },
  {
    rule: 'a delay is longer than an hour',
    source: OWN,
    resource: { delay: { kind: 'fixed', ms: 3_600_001, share: 1 } },
    problem: `${own}.delay.ms: must be a number from 0 to 3600000, got 3600001`,
  },
  {
    rule: 'a uniform delay ends before it begins',
    source: OWN,
    resource: { delay: { kind: 'uniform', min_ms: 2, max_ms: 1, share: 1 } },
    problem: `${own}.delay.max_ms: must be at least min_ms (2), got 1`,
  },
  { rule: 'a share is missing', source: OWN, resource: { reset: {} }, problem: `${own}.reset.share: must be set` },
  {
    rule: 'a share is more than 1',
    source: OWN,
    resource: { reset: { share: 2 } },
    problem: `${own}.reset.share: must be a number from 0 to 1, got 2`,
  },
  {
    rule: 'a share is counted in something odd',
    source: OWN,
    resource: { reset: { share: 1, of: 1_000 } },
    problem: `${own}.reset.of: must be 100, 10000 or 1000000, got 1000`,
  },
  {
    rule: 'a status is no HTTP status',
    source: OWN,
    resource: { abort: { kind: 'http', status: 600, share: 1 } },
    problem: `${own}.abort.status: must be a number from 200 to 599, got 600`,
  },
  {
    rule: 'a throttle lets nothing through',
    source: OWN,
    resource: { throttle: { kind: 'fixed', bytes_per_second: 0, share: 1 } },
    problem: `${own}.throttle.bytes_per_second: must be a number from 1`,
  },
  {
    rule: 'a number is no whole number',
    source: OWN,
    resource: { truncate: { after_bytes: 0.5, share: 1 } },
    problem: `${own}.truncate.after_bytes: must be a whole number, got 0.5`,
  },
  {
    rule: 'an experiment has no end',
    source: OWN,
    resource: { reset: { share: 1 }, experiment: { id: 'e' } },
    problem: `${own}.experiment.duration_ms: must be set`,
  },
  {
    rule: 'a guard’s percentile is 1',
    source: OWN,
    resource: {
      experiment: {
        id: 'e',
        duration_ms: 1,
        guards: [{ kind: 'latency', percentile: 1, max_ms: 1, window_ms: 1_000, min_requests: 1 }],
      },
    },
    problem: `${own}.experiment.guards[0].percentile: must be above 0 and below 1`,
  },
];
refusesBy('LDS client, inmesh.dev/fault', readOwn, OWN_RULES);
