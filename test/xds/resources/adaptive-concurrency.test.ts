import { expect, test } from 'vitest';
import type { FilterChain } from '../../../src/core/model/server.js';
import type { RouteConfiguration } from '../../../src/core/model/route.js';
import { LISTENER, type Resource, ROUTE } from '../../../src/core/resources.js';
import type { FilteredSource } from '../../../src/xds/resources/server-filter-chain.js';
import { FilteredRoutes } from '../../../src/xds/servers/filtered-routes.js';
import { decoders } from '../../support/decoders.js';
import { serverResource } from '../../support/server-resources.js';
import { override } from '../../support/route-filters.js';
import { any, routeResource, routerFilter } from '../../support/xds-resources.js';
import { acceptsBy, type Leniency, refusesBy, type Rule } from '../../support/xds-rules.js';
import { listenerResource } from '../../support/xds-resources.js';
import { refusal } from '../../support/refusal.js';

const FILTER = 'envoy.extensions.filters.http.adaptive_concurrency.v3.AdaptiveConcurrency';
const second: Resource = { seconds: 1 };

interface Parts {
  readonly filter?: Resource;
  readonly controller?: Resource;
  readonly limits?: Resource;
  readonly minRtt?: Resource;
}

const config = ({ filter, controller, limits, minRtt }: Parts): Resource =>
  any(FILTER, {
    gradient_controller_config: {
      concurrency_limit_params: { concurrency_update_interval: second, ...limits },
      min_rtt_calc_params: { interval: second, ...minRtt },
      ...controller,
    },
    ...filter,
  });
const named = (name: string, typed_config: Resource, fields: Resource = {}): Resource => ({
  name,
  typed_config,
  ...fields,
});

function chain(...filters: Resource[]): FilterChain {
  return chainOf(filters);
}

function chainOf(filters: readonly Resource[], hcm: Resource = {}): FilterChain {
  const resource = serverResource('l', { http_filters: [...filters, routerFilter], ...hcm });
  const found = decoders[LISTENER](resource, 'l');
  const [first] = found.kind === 'server' ? found.listener.filterChains : [];
  if (first === undefined) throw new Error('no chain');
  return first;
}
const read = (parts: Parts) => chain(named('a', config(parts))).adaptiveConcurrency;

test('a server’s concurrency limit has the defaults of adaptive_concurrency.proto', () => {
  expect(read({})).toEqual({
    percentile: 0.5,
    maxLimit: 1_000,
    updateIntervalMs: 1_000,
    minRttIntervalMs: 1_000,
    fixedMinRttMs: undefined,
    minRttRequests: 50,
    minConcurrency: 3,
    jitter: 0.15,
    buffer: 0.25,
    status: 503,
  });
  expect(chain()).not.toHaveProperty('adaptiveConcurrency');
});

test('takes every field of a server’s concurrency limit', () => {
  const parts = {
    filter: {
      concurrency_limit_exceeded_status: { code: 'TooManyRequests' },
      enabled: { default_value: { value: true }, runtime_key: 'k' },
    },
    controller: { sample_aggregate_percentile: { value: 90 } },
    limits: { max_concurrency_limit: { value: 7 }, concurrency_update_interval: { nanos: 100_000_000 } },
    minRtt: {
      interval: { seconds: 60 },
      request_count: { value: 25 },
      min_concurrency: { value: 2 },
      jitter: { value: 10 },
      buffer: { value: 50 },
    },
  };
  expect(read(parts)).toEqual({
    percentile: 0.9,
    maxLimit: 7,
    updateIntervalMs: 100,
    minRttIntervalMs: 60_000,
    fixedMinRttMs: undefined,
    minRttRequests: 25,
    minConcurrency: 2,
    jitter: 0.1,
    buffer: 0.5,
    status: 429,
  });
});

test('a fixed time without load counts where none is measured (adaptive_concurrency.proto)', () => {
  const fixed_value = { nanos: 30_000_000 };
  const never = Number.POSITIVE_INFINITY;
  expect(read({ minRtt: { interval: undefined, fixed_value } })).toMatchObject({
    fixedMinRttMs: 30,
    minRttIntervalMs: never,
  });
  expect(read({ minRtt: { fixed_value } })).toMatchObject({ fixedMinRttMs: undefined, minRttIntervalMs: 1_000 });
});

test('a status below 400 is 503 (adaptive_concurrency.proto)', () => {
  expect(read({ filter: { concurrency_limit_exceeded_status: { code: 'OK' } } })).toMatchObject({ status: 503 });
});

test('a limit that is off, by its default or by the listener, is none; the first that is on counts', () => {
  const enabled = { default_value: { value: false }, runtime_key: 'k' };
  expect(read({ filter: { enabled } })).toBeUndefined();
  expect(chain(named('a', config({}), { disabled: true })).adaptiveConcurrency).toBeUndefined();
  const three = chain(
    named('a', config({ filter: { enabled } })),
    named('b', config({ limits: { max_concurrency_limit: { value: 5 } } })),
    named('c', config({})),
  );
  expect(three.adaptiveConcurrency).toMatchObject({ maxLimit: 5 });
});

test('a route switches it off by the name of the filter that is on, whether it comes with the listener or by name', () => {
  const off = override(['b', any('envoy.config.route.v3.FilterConfig', { disabled: true })]);
  const routes = ['/off', '/on'].map((prefix) => ({
    match: { prefix },
    non_forwarding_action: {},
    ...(prefix === '/off' ? off : override(['a', any('envoy.config.route.v3.FilterConfig', { disabled: true })])),
  }));
  const routeConfig = routeResource('routes', routes);
  const filters = [named('a', config({}), { disabled: true }), named('b', config({}))];
  const inline = chainOf(filters, { rds: undefined, route_config: routeConfig });
  const found = inline.routes.kind === 'inline' ? inline.routes.config : undefined;
  const said = (of: RouteConfiguration | undefined) =>
    of?.virtualHosts[0]?.routes.map(({ adaptiveConcurrency }) => adaptiveConcurrency);
  expect(said(found)).toEqual(['off', undefined]);

  const { routes: source } = chain(...filters);
  expect(source).toMatchObject({ kind: 'rds', name: 'routes', key: expect.stringContaining('routes in l/') });
  const filtered = new FilteredRoutes().of(source as FilteredSource, decoders[ROUTE](routeConfig, 'routes'));
  expect(said(filtered instanceof Error ? undefined : filtered)).toEqual(['off', undefined]);
});

const PATH = 'http_filters[0].typed_config';
const MIN_RTT = `${PATH}.gradient_controller_config.min_rtt_calc_params`;
const LIMITS = `${PATH}.gradient_controller_config.concurrency_limit_params`;
const source = 'adaptive_concurrency.proto';
const RULES: readonly Rule<Parts>[] = [
  {
    rule: 'a concurrency limit has no controller',
    source,
    resource: { filter: { gradient_controller_config: undefined } },
    problem: `${PATH}.gradient_controller_config: must be set`,
  },
  {
    rule: 'a concurrency limit has no concurrency_limit_params',
    source,
    resource: { controller: { concurrency_limit_params: undefined } },
    problem: `${LIMITS}: must be set`,
  },
  {
    rule: 'a concurrency limit has no min_rtt_calc_params',
    source,
    resource: { controller: { min_rtt_calc_params: undefined } },
    problem: `${MIN_RTT}: must be set`,
  },
  {
    rule: 'a concurrency limit’s percentile is more than 100',
    source: 'percent.proto',
    resource: { controller: { sample_aggregate_percentile: { value: 101 } } },
    problem: 'sample_aggregate_percentile.value: must be from 0 to 100, got 101',
  },
  {
    rule: 'max_concurrency_limit is 0',
    source,
    resource: { limits: { max_concurrency_limit: { value: 0 } } },
    problem: `${LIMITS}.max_concurrency_limit: must be greater than 0`,
  },
  {
    rule: 'concurrency_update_interval is missing',
    source,
    resource: { limits: { concurrency_update_interval: undefined } },
    problem: `${LIMITS}.concurrency_update_interval: must be set`,
  },
  {
    rule: 'concurrency_update_interval is 0',
    source,
    resource: { limits: { concurrency_update_interval: {} } },
    problem: `${LIMITS}.concurrency_update_interval: must be more than 0 s`,
  },
  {
    rule: 'the interval of measuring is less than a millisecond',
    source,
    resource: { minRtt: { interval: { nanos: 999_999 } } },
    problem: `${MIN_RTT}.interval: must be at least 1 ms`,
  },
  {
    rule: 'the time without load is neither measured nor given',
    source,
    resource: { minRtt: { interval: undefined } },
    problem: `${MIN_RTT}: must have interval, or a fixed_value`,
  },
  {
    rule: 'the given time without load is 0',
    source,
    resource: { minRtt: { interval: undefined, fixed_value: {} } },
    problem: `${MIN_RTT}.fixed_value: must be more than 0 s`,
  },
  {
    rule: 'request_count is 0',
    source,
    resource: { minRtt: { request_count: {} } },
    problem: `${MIN_RTT}.request_count: must be greater than 0`,
  },
  {
    rule: 'min_concurrency is 0',
    source,
    resource: { minRtt: { min_concurrency: {} } },
    problem: `${MIN_RTT}.min_concurrency: must be greater than 0`,
  },
  {
    rule: 'jitter is negative',
    source: 'percent.proto',
    resource: { minRtt: { jitter: { value: -1 } } },
    problem: `${MIN_RTT}.jitter.value: must be from 0 to 100`,
  },
  {
    rule: 'enabled has no default_value',
    source: 'base.proto',
    resource: { filter: { enabled: { runtime_key: 'k' } } },
    problem: `${PATH}.enabled.default_value: must be set`,
  },
  {
    rule: 'enabled has no runtime_key',
    source: 'base.proto',
    resource: { filter: { enabled: { default_value: { value: false } } } },
    problem: `${PATH}.enabled.runtime_key: must be set`,
  },
  {
    rule: 'the status of refusals is none',
    source: 'http_status.proto',
    resource: { filter: { concurrency_limit_exceeded_status: {} } },
    problem: `${PATH}.concurrency_limit_exceeded_status.code: must be set`,
  },
  {
    rule: 'the status of refusals is not known',
    source: 'http_status.proto',
    resource: { filter: { concurrency_limit_exceeded_status: { code: 499 } } },
    problem: `${PATH}.concurrency_limit_exceeded_status.code: must be one of`,
  },
];
refusesBy('LDS server', read, RULES);

const CLIENT_ONLY: readonly Leniency<Resource>[] = [
  {
    rule: 'a concurrency limit of a client is optional, as servers have them',
    source: 'A39',
    resource: named('a', config({}), { is_optional: true }),
  },
];
const client = (filter: Resource) =>
  decoders[LISTENER](listenerResource('l', 'r', { http_filters: [filter, routerFilter] }), 'l');
acceptsBy('LDS client', client, CLIENT_ONLY);

test('a concurrency limit of a client is refused unless it is optional (A39)', () => {
  expect(refusal(() => client(named('a', config({}))))).toContain('is not supported by a client');
});
