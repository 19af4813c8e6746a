import type { Random } from '../../../../src/core/random.js';
import {
  CLUSTER,
  ENDPOINT,
  LISTENER,
  type Resource,
  type ResourceType,
  ROUTE,
} from '../../../../src/core/resources.js';
import {
  ads,
  any,
  clusterResource,
  connectionManager,
  lbEndpoint,
  locality,
  routerFilter,
} from '../../../support/xds-resources.js';
import { FAIL, PATHS, type PlannedCall, SLEEP } from './calls.js';

/** Ports of the backends: several of each, so that one cluster can have several endpoints and one answer. */
export interface World {
  readonly random: Random;
  readonly ports: Readonly<Record<string, readonly number[]>>;
  /** Nobody listens there. */
  readonly deadPort: number;
}

/** One target, all that it depends on, and calls to it. Names are its own, so that many can be served at once. */
export interface Scenario {
  readonly target: string;
  readonly resources: Record<ResourceType, Resource[]>;
  readonly calls: readonly PlannedCall[];
  /** What was made wrong on purpose; '' when nothing was. */
  readonly defect: string;
}

const HEADERS = ['x-a', 'x-b'] as const;
const VALUES = ['alpha', 'Alpha', 'alphabet', 'beta', '42', '-7', '+5', ' 9'] as const;

export function scenario(world: World, i: number): Scenario {
  const { random } = world;
  const make = new Maker(world, `s${i}`);
  const resources = make.resources();
  const defect = random.int(5) === 0 ? spoil(resources, random) : '';
  return { target: make.target, resources, calls: Array.from({ length: 8 }, () => make.call()), defect };
}

class Maker {
  readonly target: string;
  readonly #random: Random;
  readonly #clusters: Resource[] = [];
  readonly #assignments: Resource[] = [];

  constructor(
    private readonly world: World,
    private readonly id: string,
  ) {
    this.#random = world.random;
    this.target = `${id}.shop.example`;
  }

  resources(): Scenario['resources'] {
    const names = Array.from({ length: 1 + this.#random.int(3) }, (_, i) => this.#cluster(`${this.id}-c${i}`));
    if (this.#random.int(4) === 0) names.push(this.#aggregate(names));
    const config = { name: `${this.id}-routes`, virtual_hosts: this.#virtualHosts(names) };
    const inline = this.#random.int(4) === 0;
    const hcm = {
      ...(inline ? { route_config: config } : { rds: { config_source: ads, route_config_name: config.name } }),
      ...this.#maybe(4, {
        common_http_protocol_options: { max_stream_duration: { seconds: 5 }, idle_timeout: { nanos: 1 } },
      }),
      http_filters: [
        ...(this.#random.int(3) === 0
          ? [{ name: 'unheard-of', is_optional: true, typed_config: any('shop.Unknown') }]
          : []),
        routerFilter,
      ],
    };
    return {
      [LISTENER]: [{ name: this.target, api_listener: { api_listener: connectionManager(hcm) } }],
      [ROUTE]: inline ? [] : [config],
      [CLUSTER]: this.#clusters,
      [ENDPOINT]: this.#assignments,
    };
  }

  call(): PlannedCall {
    const metadata: [string, string][] = [];
    for (const name of HEADERS) {
      for (let n = this.#random.int(3); n > 0; n--) metadata.push([name, this.#pick(VALUES)]);
    }
    if (this.#random.int(4) === 0) metadata.push(['x-data-bin', 'bytes']);
    if (this.#random.int(4) === 0)
      metadata.push([FAIL, `${1 + this.#random.int(3)};${this.#pick(['14', '8', '10', '3'])}`]);
    else if (this.#random.int(15) === 0) metadata.push([SLEEP, '12000']);
    return { target: this.target, path: this.#pick(PATHS), metadata, timeoutMs: 30_000 };
  }

  #virtualHosts(clusters: readonly string[]): Resource[] {
    const domains = [
      this.target,
      this.target.toUpperCase(),
      '*',
      '*.example',
      `${this.id}.*`,
      '*.shop.example',
      'elsewhere.example',
    ];
    const taken = new Set<string>();
    return Array.from({ length: 1 + this.#random.int(3) }, (_, i) => {
      const own = Array.from({ length: 1 + this.#random.int(2) }, () => this.#pick(domains)).filter((domain) => {
        const isNew = !taken.has(domain.toLowerCase());
        taken.add(domain.toLowerCase());
        return isNew;
      });
      return {
        name: `vh${i}`,
        domains: own.length > 0 ? own : [`vh${i}.elsewhere.example`],
        routes: [
          ...Array.from({ length: 1 + this.#random.int(5) }, () => this.#route(clusters)),
          // Most hosts take what is left, so that most calls get as far as an endpoint.
          ...(this.#random.int(4) === 0 ? [] : [{ match: { prefix: '' }, route: { cluster: this.#pick(clusters) } }]),
        ],
        ...(this.#random.int(4) === 0 ? { retry_policy: this.#retryPolicy() } : {}),
      };
    });
  }

  #route(clusters: readonly string[]): Resource {
    const match: Record<string, unknown> = { ...this.#path(), ...this.#maybe(5, { case_sensitive: { value: false } }) };
    const headers = Array.from({ length: Math.max(0, this.#random.int(4) - 1) }, () => this.#header());
    if (headers.length > 0) match['headers'] = headers;
    if (this.#random.int(8) === 0) match['query_parameters'] = [{ name: 'q', present_match: true }];
    if (this.#random.int(6) === 0) {
      match['runtime_fraction'] = { default_value: { numerator: this.#pick([0, 1_000_000]), denominator: 'MILLION' } };
    }
    if (this.#random.int(10) === 0) return { match, non_forwarding_action: {} };
    return { match, route: this.#action(clusters) };
  }

  #path(): Resource {
    switch (this.#random.int(3)) {
      case 0:
        return { prefix: this.#pick(['', '/', '/shop.', '/shop.Reviews/', '/SHOP', '/shop.ratings/Get']) };
      case 1:
        return { path: this.#pick(PATHS) };
      default:
        return {
          safe_regex: {
            regex: this.#pick(['.*Get', '/shop\\.[A-Z].*', '/shop.Reviews/(Get|List)', '(?i)/shop.reviews/get', 'Get']),
          },
        };
    }
  }

  #header(): Resource {
    const name = this.#pick([...HEADERS, 'x-absent', 'content-type', 'x-data-bin']);
    const value = this.#pick([...VALUES, 'application/grpc', 'alpha,beta']);
    const matcher = this.#pick([
      { exact_match: value },
      { prefix_match: value.trim().slice(0, 2) },
      { suffix_match: value.slice(-2) },
      { contains_match: value.trim().slice(1, 3) || 'l' },
      { safe_regex_match: { regex: this.#pick(['al.*', '[0-9]+', '.*', '.+,.+']) } },
      { range_match: { start: this.#pick([-10, 0, 40]), end: this.#pick([42, 43, 100]) } },
      { present_match: true },
      { present_match: false },
      { string_match: { exact: value, ignore_case: true } },
      { string_match: { prefix: 'AL', ignore_case: this.#random.int(2) === 0 } },
      { string_match: { safe_regex: { regex: 'b.*' } } },
    ]);
    return { name, ...matcher, ...this.#maybe(4, { invert_match: true }) };
  }

  #action(clusters: readonly string[]): Resource {
    const common = {
      ...(this.#random.int(3) === 0 ? { retry_policy: this.#retryPolicy() } : {}),
      // gRPC has no use for it (A31).
      ...this.#maybe(6, { timeout: { nanos: 1 } }),
      ...this.#maybe(6, { max_stream_duration: { grpc_timeout_header_max: { seconds: 5 } } }),
      ...this.#maybe(8, { max_stream_duration: { max_stream_duration: { seconds: 5 } } }),
      ...this.#maybe(10, { max_stream_duration: { max_stream_duration: {}, grpc_timeout_header_max: {} } }),
    };
    switch (this.#random.int(10)) {
      case 0:
        return { cluster_header: 'x-a', ...common };
      case 1:
        // Seldom: the whole target waits 15 s for it, with both clients.
        return { cluster: this.#random.int(6) === 0 ? `${this.id}-unknown` : this.#pick(clusters), ...common };
      case 2: {
        const [name, other] = [this.#pick(clusters), this.#pick(clusters)];
        const all = this.#random.int(2) === 0 ? [1, 0] : [0, 7];
        return {
          weighted_clusters: {
            clusters: [name, other].map((cluster, i) => ({ name: cluster, weight: { value: all[i] } })),
          },
          ...common,
        };
      }
      default:
        return { cluster: this.#pick(clusters), ...common };
    }
  }

  #retryPolicy(): Resource {
    return {
      retry_on: this.#pick([
        'unavailable',
        'cancelled,unavailable',
        'resource-exhausted',
        '5xx',
        'internal,deadline-exceeded',
        '',
      ]),
      ...this.#maybe(2, { num_retries: { value: 1 + this.#random.int(4) } }),
      retry_back_off: { base_interval: { nanos: 10_000_000 }, max_interval: { nanos: 20_000_000 } },
    };
  }

  #cluster(name: string): string {
    const fields: Record<string, unknown> = {
      ...this.#maybe(3, {
        load_balancing_policy: policies('least_request.v3.LeastRequest', 'round_robin.v3.RoundRobin'),
      }),
      ...this.#maybe(8, { circuit_breakers: { thresholds: [{ max_requests: { value: 0 } }] } }),
      ...this.#maybe(8, {
        circuit_breakers: {
          thresholds: [
            { priority: 'HIGH', max_requests: { value: 0 } },
            // More than there are calls: which of many at once are refused is chance.
            { max_requests: { value: 50 } },
          ],
        },
      }),
    };
    if (this.#random.int(6) === 0) {
      const [port] = this.world.ports[this.#backend()] as [number];
      const load_assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [lbEndpoint('127.0.0.1', port)] }] };
      this.#clusters.push({ name, type: 'LOGICAL_DNS', dns_lookup_family: 'V4_ONLY', load_assignment, ...fields });
      return name;
    }
    const service = this.#random.int(2) === 0 ? name : `${name}-service`;
    this.#clusters.push(
      clusterResource(name, { eds_cluster_config: { eds_config: ads, service_name: service }, ...fields }),
    );
    this.#assignments.push(this.#assignment(service));
    return name;
  }

  #aggregate(leaves: readonly string[]): string {
    const name = `${this.id}-all`;
    const cluster_type = {
      name: 'envoy.clusters.aggregate',
      typed_config: any('envoy.extensions.clusters.aggregate.v3.ClusterConfig', { clusters: [...leaves].reverse() }),
    };
    this.#clusters.push({ name, cluster_type });
    return name;
  }

  /** Priorities from 0 on; each has one backend that answers, or none, and perhaps an endpoint where nobody listens. */
  #assignment(name: string): Resource {
    const used = new Set<number>();
    const endpoints = Array.from({ length: 1 + this.#random.int(3) }, (_, priority) => {
      const ports = (this.world.ports[this.#backend()] as readonly number[]).filter((port) => !used.has(port));
      const live = this.#random.int(4) === 0 ? [] : ports.slice(0, 1 + this.#random.int(2));
      const lb: Resource[] = live.map((port) => {
        used.add(port);
        return lbEndpoint('127.0.0.1', port, {
          ...this.#maybe(4, { load_balancing_weight: { value: 3 } }),
          ...this.#maybe(5, { health_status: this.#pick(['HEALTHY', 'UNHEALTHY', 'UNKNOWN', 'TIMEOUT', 'DRAINING']) }),
        });
      });
      if (!used.has(this.world.deadPort) && this.#random.int(3) === 0) {
        used.add(this.world.deadPort);
        lb.splice(this.#random.int(lb.length + 1), 0, lbEndpoint('127.0.0.1', this.world.deadPort));
      }
      return locality(lb, { locality: { region: 'r', zone: `z${priority}` }, ...(priority === 0 ? {} : { priority }) });
    });
    const share = this.#pick([0, 0, 0, 100]);
    const policy = { drop_overloads: [{ category: 'lb', drop_percentage: { numerator: share } }] };
    return { cluster_name: name, endpoints, ...this.#maybe(3, { policy }) };
  }

  #backend(): string {
    return this.#pick(Object.keys(this.world.ports));
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random.int(list.length)] as T;
  }

  #maybe<T extends object>(outOf: number, fields: T): T | Record<string, never> {
    return this.#random.int(outOf) === 0 ? fields : {};
  }
}

/** C-core has no least_request (gRFC A48): the list is there for clients that lack a policy. */
const policies = (...names: readonly string[]): Resource => ({
  policies: names.map((name) => ({
    typed_extension_config: { name, typed_config: any(`envoy.extensions.load_balancing_policies.${name}`) },
  })),
});

type Draft = Record<string, unknown>;
const draft = (value: unknown): Draft => value as Draft;

/** Every way in which both clients must refuse a resource (xds.md, 2.4), by the resource that is spoiled. */
const DEFECTS: readonly {
  readonly name: string;
  readonly type: ResourceType;
  readonly spoil: (resource: Draft) => void;
}[] = [
  { name: 'no HTTP filters', type: LISTENER, spoil: (l) => Object.assign(hcm(l), { http_filters: [] }) },
  {
    name: 'no terminal filter',
    type: LISTENER,
    spoil: (l) =>
      Object.assign(hcm(l), { http_filters: [{ name: 'x', is_optional: true, typed_config: any('shop.X') }] }),
  },
  {
    name: 'an unknown filter',
    type: LISTENER,
    spoil: (l) => Object.assign(hcm(l), { http_filters: [{ name: 'x', typed_config: any('shop.X') }, routerFilter] }),
  },
  {
    name: 'routers in the middle',
    type: LISTENER,
    spoil: (l) => Object.assign(hcm(l), { http_filters: [routerFilter, { ...routerFilter, name: 'again' }] }),
  },
  { name: 'trusted hops', type: LISTENER, spoil: (l) => Object.assign(hcm(l), { xff_num_trusted_hops: 1 }) },
  { name: 'no path specifier', type: ROUTE, spoil: (r) => Object.assign(firstRoute(r), { match: {} }) },
  {
    name: 'a bad regex',
    type: ROUTE,
    spoil: (r) => Object.assign(firstRoute(r), { match: { safe_regex: { regex: '(' } } }),
  },
  {
    name: 'weights that are all 0',
    type: ROUTE,
    spoil: (r) =>
      replace(firstRoute(r), 'non_forwarding_action', {
        // Without query parameters: gRPC looks no further into a route that has some (A28).
        match: { prefix: '/' },
        route: { weighted_clusters: { clusters: [{ name: 'a', weight: { value: 0 } }] } },
      }),
  },
  {
    name: 'num_retries 0',
    type: ROUTE,
    spoil: (r) => Object.assign(firstHost(r), { retry_policy: { num_retries: { value: 0 } } }),
  },
  { name: 'a wildcard within a domain', type: ROUTE, spoil: (r) => Object.assign(firstHost(r), { domains: ['a*b'] }) },
  {
    name: 'an unsupported cluster type',
    type: CLUSTER,
    spoil: (c) => replace(c, 'cluster_type', { type: 'ORIGINAL_DST' }),
  },
  { name: 'an unsupported policy', type: CLUSTER, spoil: (c) => Object.assign(c, { lb_policy: 'CLUSTER_PROVIDED' }) },
  {
    name: 'an LRS server other than self',
    type: CLUSTER,
    spoil: (c) => Object.assign(c, { lrs_server: { ads: {} } }),
  },
  {
    name: 'a negative outlier interval',
    type: CLUSTER,
    spoil: (c) => Object.assign(c, { outlier_detection: { interval: { seconds: -1 } } }),
  },
  {
    name: 'an outlier percentage above 100',
    type: CLUSTER,
    spoil: (c) => Object.assign(c, { outlier_detection: { max_ejection_percent: { value: 101 } } }),
  },
  {
    name: 'a gap between priorities',
    type: ENDPOINT,
    spoil: (e) => Object.assign(e, { endpoints: [locality([lbEndpoint('127.0.0.1', 1)], { priority: 1 })] }),
  },
  {
    name: 'an address twice',
    type: ENDPOINT,
    spoil: (e) => Object.assign(e, { endpoints: [locality([lbEndpoint('127.0.0.1', 1), lbEndpoint('127.0.0.1', 1)])] }),
  },
  {
    name: 'a locality twice',
    type: ENDPOINT,
    spoil: (e) => Object.assign(e, { endpoints: [locality([]), locality([])] }),
  },
  {
    name: 'a name instead of an address',
    type: ENDPOINT,
    spoil: (e) => Object.assign(e, { endpoints: [locality([lbEndpoint('not an address', 80)])] }),
  },
];

/** Sets fields in place of a rival of the same oneof: both cannot be encoded. */
function replace(resource: Draft, rival: string, fields: Draft): void {
  delete resource[rival];
  Object.assign(resource, fields);
}

const hcm = (listener: Draft): Draft => draft(draft(listener['api_listener'])['api_listener']);
const firstHost = (config: Draft): Draft => (config['virtual_hosts'] as Draft[])[0] as Draft;
const firstRoute = (config: Draft): Draft => (firstHost(config)['routes'] as Draft[])[0] as Draft;

/** Makes one resource wrong; returns what was done to it. */
function spoil(resources: Scenario['resources'], random: Random): string {
  const possible = DEFECTS.filter(({ type }) => resources[type].length > 0);
  const { name, type, spoil: change } = possible[random.int(possible.length)] as (typeof DEFECTS)[number];
  const list = resources[type];
  const at = random.int(list.length);
  const copy = structuredClone(list[at] as Resource);
  change(copy);
  list[at] = copy;
  return name;
}
