import { describe, expect, test } from 'vitest';
import { type Random, seededRandom } from '../../../src/core/random.js';
import type { Route } from '../../../src/core/model/route.js';
import { CLUSTER, ENDPOINT, LISTENER, type Resource, type ResourceType, ROUTE } from '../../../src/core/resources.js';
import type { Assignment } from '../../../src/xds/resources/endpoint.js';
import { decoders, type Models } from '../../../src/xds/resources/decoders.js';
import { ResourceError } from '../../../src/xds/resources/message.js';
import {
  ads,
  any,
  clusterResource,
  connectionManager,
  lbEndpoint,
  listenerResource,
  locality,
  numberValue,
  routerFilter,
  struct,
} from '../../support/xds-resources.js';

/** One resource per type that sets as much as possible, so that mutations reach every branch. */
const FULL_ROUTE: Resource = {
  name: 'n',
  ignore_port_in_host_matching: true,
  most_specific_header_mutations_wins: true,
  max_direct_response_body_size_bytes: { value: 10 },
  request_headers_to_add: [{ header: { key: 'a', value: 'b' }, append_action: 'ADD_IF_ABSENT' }],
  response_headers_to_remove: ['x'],
  cluster_specifier_plugins: [{ extension: { name: 'p' }, is_optional: true }],
  virtual_hosts: [
    {
      name: 'v',
      domains: ['*', 'a.*', '*.b', 'c'],
      retry_policy: {
        retry_on: '5xx',
        num_retries: { value: 2 },
        retry_back_off: { base_interval: { nanos: 5 }, max_interval: { seconds: 1 } },
      },
      routes: [
        {
          name: 'one',
          match: {
            prefix: '/',
            headers: [
              { name: 'h', string_match: { safe_regex: { regex: 'a+' } } },
              { name: 'i', range_match: { start: 1, end: 2 } },
            ],
            query_parameters: [{ name: 'q', present_match: true }],
            runtime_fraction: { default_value: { numerator: 1, denominator: 'MILLION' } },
            grpc: {},
          },
          route: {
            weighted_clusters: {
              clusters: [
                {
                  name: 'a',
                  weight: { value: 1 },
                  request_headers_to_add: [{ header: { key: 'a', raw_value: new Uint8Array([65]) } }],
                },
                { name: 'b', weight: { value: 2 } },
              ],
            },
            timeout: { seconds: 1, nanos: 1 },
            max_stream_duration: { max_stream_duration: { seconds: '3' } },
            retry_policy: { retry_on: 'reset', retriable_status_codes: [500] },
            regex_rewrite: { pattern: { regex: '(a)' }, substitution: '\\1' },
            host_rewrite_literal: 'h',
          },
          typed_per_filter_config: {
            x: any('envoy.config.route.v3.FilterConfig', { disabled: true, config: any('x.Y') }),
          },
        },
        {
          match: { safe_regex: { regex: '/a/(b|c)' } },
          redirect: { scheme_redirect: 'https', host_redirect: 'h', prefix_rewrite: '/x', response_code: 'FOUND' },
        },
        { match: { path: '/d' }, direct_response: { status: 200, body: { inline_bytes: new Uint8Array([1]) } } },
        { match: { path_separated_prefix: '/e' }, non_forwarding_action: {} },
        {
          match: { prefix: '/f' },
          route: { cluster_specifier_plugin: 'p', prefix_rewrite: '/g', auto_host_rewrite: { value: true } },
        },
      ],
    },
  ],
};
const EDS_ENDPOINTS = [
  locality([
    lbEndpoint('10.0.0.1', 1, {
      load_balancing_weight: { value: 2 },
      health_status: 'DRAINING',
      metadata: { filter_metadata: { 'envoy.lb': struct({ v: numberValue(1) }) } },
    }),
    lbEndpoint('::1', 2),
  ]),
  locality([lbEndpoint('10.0.0.3', 3)], { priority: 1 }),
];
const peak = any('xds.type.v3.TypedStruct', {
  type_url: 'type.googleapis.com/inmesh.dev/peak_ewma',
  value: struct({ decay_ms: numberValue(1), default_rtt_ms: numberValue(2) }),
});
const wrr = any('envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality', {
  endpoint_picking_policy: { policies: [{ typed_extension_config: { name: 'x', typed_config: peak } }] },
});
const SEEDS: Readonly<Record<ResourceType, readonly Resource[]>> = {
  [LISTENER]: [
    listenerResource('n', 'r', {
      http_filters: [{ name: 'o', is_optional: true, typed_config: any('x.Y') }, routerFilter],
      common_http_protocol_options: { max_stream_duration: { seconds: 1 } },
    }),
    { name: 'n', api_listener: { api_listener: connectionManager({ route_config: FULL_ROUTE }) } },
  ],
  [ROUTE]: [FULL_ROUTE],
  [CLUSTER]: [
    clusterResource('n', {
      eds_cluster_config: { eds_config: ads, service_name: 's' },
      load_balancing_policy: { policies: [{ typed_extension_config: { name: 'w', typed_config: wrr } }] },
      circuit_breakers: {
        thresholds: [
          { priority: 'HIGH' },
          { max_requests: { value: 5 }, retry_budget: { budget_percent: { value: 10 } } },
        ],
      },
      metadata: {
        filter_metadata: {
          'inmesh.dev': struct({ retry_budget: { struct_value: struct({ ttl_ms: numberValue(2_000) }) } }),
        },
      },
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': any('x', {
          explicit_http_config: { http2_protocol_options: {} },
          common_http_protocol_options: { idle_timeout: { seconds: 1 } },
        }),
      },
      transport_socket: {
        name: 't',
        typed_config: any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
          sni: 's',
          common_tls_context: {
            validation_context: {
              system_root_certs: {},
              match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 's' } }],
            },
          },
        }),
      },
    }),
    {
      name: 'n',
      type: 'STRICT_DNS',
      lb_policy: 'LEAST_REQUEST',
      least_request_lb_config: { choice_count: { value: 3 } },
      dns_refresh_rate: { seconds: 5 },
      load_assignment: { endpoints: [{ lb_endpoints: [lbEndpoint('example.com', 1)] }] },
    },
  ],
  [ENDPOINT]: [
    {
      cluster_name: 'n',
      endpoints: EDS_ENDPOINTS,
      policy: { drop_overloads: [{ category: 'c', drop_percentage: { numerator: 1 } }] },
    },
  ],
};

/** Made anew each time, as mutations go into them too. */
const odd = (): readonly unknown[] => [
  undefined,
  null,
  0,
  -1,
  1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  4_294_967_295,
  4_294_967_296,
  2 ** 53,
  '9223372036854775807',
  '-1',
  '',
  'x',
  '*',
  '[',
  '(a+)+$',
  '\\',
  '%',
  '\r\n',
  true,
  false,
  [],
  [null],
  [[]],
  {},
  { value: {} },
  { value: -1 },
  { '@type': 1 },
  { '@type': 'x' },
  { seconds: -1 },
  { nanos: 1e9 },
  new Uint8Array(3),
  Symbol('s'),
  1n,
  () => 0,
  new Date(0),
  new Map(),
  Object.create(null),
  JSON.parse('{"__proto__":{"value":1},"constructor":1,"toString":2}'),
  'a'.repeat(5_000),
  '/',
  'MILLION',
  'EDS',
  '127.0.0.1',
];

/** A copy with one to four places changed: replaced, removed, doubled, exchanged with another place's value. */
function mutate(resource: Resource, random: Random): Resource {
  const copy = clone(resource) as Record<string, unknown>;
  for (let n = 1 + random.int(4); n > 0; n--) {
    const places = placesOf(copy);
    if (places.length === 0) return copy;
    const [holder, key] = places[random.int(places.length)] as Place;
    const other = places[random.int(places.length)] as Place;
    const kind = random.int(6);
    if (kind === 0) delete holder[key];
    else if (kind === 1) holder[key] = clone(other[0][other[1]]);
    else if (kind === 2 && Array.isArray(holder)) holder.push(clone(holder[key as never]) as never);
    else if (kind === 3) holder[Object.keys(other[0])[0] ?? 'value'] = clone(holder[key]);
    else if (kind === 4 && typeof holder[key] === 'number') holder[key] = (holder[key] as number) * (random.int(5) - 2);
    else holder[key] = odd()[random.int(odd().length)];
  }
  return copy;
}

type Place = readonly [Record<string, unknown>, string];
function placesOf(value: Record<string, unknown>): Place[] {
  return Object.keys(value).flatMap((key): Place[] => {
    const child = value[key];
    const inner =
      typeof child === 'object' && child !== null && !(child instanceof Uint8Array)
        ? placesOf(child as Record<string, unknown>)
        : [];
    return [[value, key], ...inner];
  });
}

function clone(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(clone);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, clone(item)]));
}

/** What the model promises of itself, whatever came in. Plain comparisons: an `expect` for each would take most of the time. */
const CHECKS: { readonly [T in ResourceType]: (model: Models[T]) => void } = {
  [LISTENER]: ({ routes }) => {
    if (routes.kind === 'rds') must(routes.name !== '', 'a name for RDS');
    else CHECKS[ROUTE](routes.config);
  },
  [ROUTE]: ({ virtualHosts }) => {
    for (const { domains, routes } of virtualHosts) {
      must(domains.length > 0, 'a domain');
      for (const route of routes) checkRoute(route);
    }
  },
  [CLUSTER]: ({ settings, discovery }) => {
    const { limits, retryBudget, balancer, connectTimeoutMs, idleTimeoutMs, tls } = settings;
    for (const limit of [limits.maxConnections, limits.maxPendingRequests, limits.maxRequests])
      inRange(limit, 0, 4_294_967_295);
    inRange(retryBudget.retryRatio, 0, 1_000);
    inRange(retryBudget.ttlMs, 1_000, 60_000);
    if (balancer.kind === 'least_request') inRange(balancer.choiceCount, 2, 10);
    if (balancer.kind === 'peak_ewma') inRange(balancer.decayMs, 1, 3_600_000);
    must(connectTimeoutMs > 0, 'time to connect');
    inRange(idleTimeoutMs, Number.MIN_VALUE, 2_147_483_647);
    must(tls?.sni !== '', 'a server name');
    if (discovery.kind === 'eds') must(discovery.serviceName !== '', 'a service name');
    else checkAssignment(discovery.assignment);
  },
  [ENDPOINT]: checkAssignment,
};

function checkRoute({ name, match, action }: Route): void {
  must(name !== '', 'a name');
  inRange(match.fraction, 0, 1);
  if (match.path.kind === 'regex') match.path.regex.matches('/'.repeat(200));
  if (action.kind === 'direct') inRange(action.status, 200, 599);
  if (action.kind !== 'forward') return;
  const sum = action.clusters.reduce((total, { weight }) => total + weight, 0);
  must(action.totalWeight === sum, 'the sum of the weights');
  inRange(action.totalWeight, 1, 4_294_967_295);
  for (const cluster of action.clusters) must(cluster.name !== '' && cluster.weight > 0, 'a cluster with a weight');
  inRange(action.timeoutMs ?? 0, 0, Number.MAX_VALUE);
  if (action.retry !== undefined) {
    inRange(action.retry.maxRetries, 1, 4_294_967_295);
    inRange(action.retry.baseMs, 1, action.retry.maxMs);
  }
}

function checkAssignment({ endpoints, drops }: Assignment): void {
  must(new Set(endpoints.map(({ key }) => key)).size === endpoints.length, 'distinct endpoints');
  for (const { addresses, weight, priority } of endpoints) {
    inRange(weight, 1, 4_294_967_295);
    inRange(priority, 0, 128);
    for (const { port } of addresses) inRange(port, 1, 65_535);
  }
  for (const { share } of drops) inRange(share, 0, 1);
}

function inRange(value: number, min: number, max: number): void {
  must(value >= min && value <= max, `${value} from ${min} to ${max}`);
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`must have ${what}`);
}

const MUTANTS = 6_000;
/** Seconds where the machine is busy; no part of what is tested. */
const PATIENCE_MS = 120_000;

describe('a mutated resource', () => {
  test.each(Object.keys(SEEDS) as ResourceType[])(
    '%s is accepted within its bounds or refused with a ResourceError',
    (type) => {
      const random = seededRandom(20_260_701);
      let accepted = 0;
      for (let i = 0; i < MUTANTS; i++) {
        const seeds = SEEDS[type];
        const mutant = mutate(seeds[i % seeds.length] as Resource, random);
        try {
          const model = decoders[type](mutant, 'n');
          accepted++;
          must(Object.isFrozen(model), 'no way to change it');
          (CHECKS[type] as (model: unknown) => void)(model);
        } catch (error) {
          if (!(error instanceof ResourceError))
            throw new Error(`mutant ${i} of seed 20260701: ${String(error)}`, { cause: error });
          must(error.problem !== '', 'a problem');
        }
      }
      // Neither all nor none: the mutations are of the structure, not noise.
      inRange(accepted, MUTANTS / 50, MUTANTS - MUTANTS / 10);
    },
  );

  test.each(Object.keys(SEEDS) as ResourceType[])(
    '%s: the seeds themselves are accepted',
    (type) => {
      for (const seed of SEEDS[type]) (CHECKS[type] as (model: unknown) => void)(decoders[type](seed, 'n'));
    },
    PATIENCE_MS,
  );

  test.each([undefined, null, 1, 'x', [], new Uint8Array(1)])('what is no message at all is refused: %j', (value) => {
    for (const type of Object.keys(SEEDS) as ResourceType[])
      expect(() => decoders[type](value as unknown as Resource, 'n')).toThrow(ResourceError);
  });
});
