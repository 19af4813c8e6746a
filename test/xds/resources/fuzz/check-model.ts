import type { FilterChain } from '../../../../src/core/model/server.js';
import type { Route, RouteConfiguration } from '../../../../src/core/model/route.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE } from '../../../../src/core/resources.js';
import type { Models } from '../../../../src/xds/resources/decoders.js';
import type { Assignment } from '../../../../src/xds/resources/endpoint.js';

const UINT32_MAX = 4_294_967_295;

/** What the model promises of itself, whatever came in. Plain comparisons: an `expect` for each would take most of the time. */
const CHECKS: { readonly [T in ResourceType]: (model: Models[T]) => void } = {
  [LISTENER]: (listener) => {
    if (listener.kind === 'api') checkSource(listener.routes);
    else {
      const { filterChains, defaultFilterChain, address } = listener.listener;
      inRange(address.port, 1, 65_535);
      must(filterChains.length > 0 || defaultFilterChain !== undefined, 'a filter chain');
      for (const chain of filterChains) checkChain(chain);
      if (defaultFilterChain !== undefined) checkChain(defaultFilterChain);
    }
  },
  [ROUTE]: checkRoutes,
  [CLUSTER]: ({ settings, discovery }) => {
    const { limits, retryBudget, balancer, connectTimeoutMs, idleTimeoutMs, tls, loadReports } = settings;
    for (const limit of [limits.maxConnections, limits.maxPendingRequests, limits.maxRequests])
      inRange(limit, 0, UINT32_MAX);
    inRange(retryBudget.retryRatio, 0, 1_000);
    inRange(retryBudget.minRetriesPerSecond, 0, 1e6);
    inRange(retryBudget.ttlMs, 1_000, 60_000);
    if (balancer.kind === 'least_request') inRange(balancer.choiceCount, 2, 10);
    if (balancer.kind === 'peak_ewma') inRange(balancer.decayMs, 1, 3_600_000);
    must(connectTimeoutMs > 0, 'time to connect');
    inRange(idleTimeoutMs, Number.MIN_VALUE, 2_147_483_647);
    must(tls?.sni !== '', 'a server name');
    must(loadReports?.server !== '', 'a server for load reports');
    if (discovery.kind === 'eds') must(discovery.serviceName !== '', 'a service name');
    else if (discovery.kind === 'aggregate') {
      must(discovery.clusters.length > 0 && !discovery.clusters.includes(''), 'clusters with names');
    } else checkAssignment(discovery.assignment);
  },
  [ENDPOINT]: checkAssignment,
};

export function checkModel(type: ResourceType, model: object): void {
  must(Object.isFrozen(model), 'no way to change it');
  (CHECKS[type] as (model: object) => void)(model);
}

function checkChain({ name, match, routes }: FilterChain): void {
  must(name !== '', 'a name of the chain');
  for (const { prefixLength, address } of [...match.destination, ...match.source])
    inRange(prefixLength, 0, address.includes(':') ? 128 : 32);
  for (const port of match.sourcePorts) inRange(port, 1, 65_535);
  checkSource(routes);
}

function checkSource(routes: FilterChain['routes']): void {
  if (routes.kind === 'rds') must(routes.name !== '', 'a name for RDS');
  else checkRoutes(routes.config);
}

function checkRoutes({ virtualHosts }: RouteConfiguration): void {
  for (const { domains, routes } of virtualHosts) {
    must(domains.length > 0, 'a domain');
    for (const route of routes) checkRoute(route);
  }
}

function checkRoute({ name, match, action }: Route): void {
  must(name !== '', 'a name');
  inRange(match.fraction, 0, 1);
  if (action.kind === 'direct') inRange(action.status, 200, 599);
  if (action.kind !== 'forward') return;
  const sum = action.clusters.reduce((total, { weight }) => total + weight, 0);
  must(action.totalWeight === sum, 'the sum of the weights');
  inRange(action.totalWeight, 1, UINT32_MAX);
  for (const cluster of action.clusters) must(cluster.name !== '' && cluster.weight > 0, 'a cluster with a weight');
  inRange(action.timeoutMs ?? 0, 0, Number.MAX_VALUE);
  inRange(action.maxStreamDurationMs ?? 0, 0, Number.MAX_VALUE);
  if (action.retry !== undefined) {
    inRange(action.retry.maxRetries, 1, UINT32_MAX);
    inRange(action.retry.baseMs, 1, action.retry.maxMs);
  }
}

function checkAssignment({ endpoints, drops }: Assignment): void {
  must(new Set(endpoints.map(({ key }) => key)).size === endpoints.length, 'distinct endpoints');
  for (const { addresses, weight, localityWeight, priority } of endpoints) {
    inRange(weight, 1, UINT32_MAX);
    inRange(localityWeight, 1, UINT32_MAX);
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
