import type { EgressConfig } from '../../../../src/core/model/egress.js';
import type { FaultConfig } from '../../../../src/core/model/fault.js';
import type { FilterChain } from '../../../../src/core/model/server.js';
import type { Route, RouteConfiguration } from '../../../../src/core/model/route.js';
import type { BalancerConfig } from '../../../../src/core/model/balancer.js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE } from '../../../../src/core/resources.js';
import type { Cluster } from '../../../../src/xds/resources/cluster.js';
import type { Models } from '../../../../src/xds/resources/decoders.js';
import type { Assignment } from '../../../../src/xds/resources/endpoint.js';

type Settings = Cluster['settings'];

const UINT32_MAX = 4_294_967_295;

/** What the model promises of itself, whatever came in. Plain comparisons: an `expect` for each would take most of the time. */
const CHECKS: { readonly [T in ResourceType]: (model: Models[T]) => void } = {
  [LISTENER]: (listener) => {
    if (listener.kind === 'api') checkSource(listener.routes);
    else if (listener.kind === 'settings') checkEgress(listener.settings.egress);
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
    for (const limit of [
      limits.high?.maxPendingRequests,
      limits.high?.maxRequests,
      limits.activeRetryBudget?.minConcurrency,
    ])
      inRange(limit ?? 0, 0, UINT32_MAX);
    inRange(limits.batchShare ?? 0, 0, 1);
    inRange(limits.activeRetryBudget?.share ?? 0, 0, 1);
    checkBreaker(settings);
    checkFallback(settings);
    checkBalancer(balancer);
    checkHealth(settings);
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

function checkEgress(egress: EgressConfig | undefined): void {
  for (const { hosts, ports, cidrs } of [egress?.allow, egress?.deny, egress?.registered].flatMap(
    (rules) => rules ?? [],
  )) {
    must(!(hosts ?? []).includes(''), 'hosts with names');
    for (const port of ports ?? []) inRange(port, 1, 65_535);
    for (const { prefixLength, address } of cidrs ?? []) inRange(prefixLength, 0, address.includes(':') ? 128 : 32);
  }
}

function checkBalancer(balancer: BalancerConfig): void {
  switch (balancer.kind) {
    case 'least_request':
      inRange(balancer.choiceCount, 2, 10);
      return inRange(balancer.activeRequestBias ?? 0, 0, 100);
    case 'peak_ewma':
      return inRange(balancer.decayMs, 1, 3_600_000);
    case 'ring_hash':
      inRange(balancer.balanceFactor ?? 1, 1, UINT32_MAX);
      inRange(balancer.minSize, 1, balancer.maxSize);
      return inRange(balancer.maxSize, 1, 8_388_608);
    case 'maglev':
      inRange(balancer.balanceFactor ?? 1, 1, UINT32_MAX);
      return inRange(balancer.tableSize, 2, 5_000_011);
    case 'weighted_round_robin':
      inRange(balancer.updateMs, 100, Number.MAX_VALUE);
      return inRange(balancer.errorPenalty, 0, Number.MAX_VALUE);
  }
}

function checkBreaker({ breaker }: Settings): void {
  if (breaker === undefined) return;
  must(breaker.consecutiveFailures !== undefined || breaker.successRate !== undefined, 'something to trip by');
  inRange(breaker.consecutiveFailures ?? 1, 1, UINT32_MAX);
  inRange(breaker.successRate?.threshold ?? 1, Number.MIN_VALUE, 1);
  inRange(breaker.basePenaltyMs, 1, breaker.maxPenaltyMs);
  inRange(breaker.jitter, 0, 1);
  inRange(breaker.probes, 1, UINT32_MAX);
}

function checkFallback({ name, fallback }: Settings): void {
  if (fallback !== undefined) inRange(fallback.length, 1, 16);
  for (const one of fallback ?? []) {
    if (one.kind === 'service') must(one.cluster !== '' && one.cluster !== name, 'another cluster to fall back to');
    if (one.kind === 'static') inRange(one.status, 200, 599);
    if (one.kind === 'stale') inRange(one.maxAgeMs, 1, Number.MAX_VALUE);
    if (one.kind === 'function') must(one.name !== '', 'the name of a function');
  }
}

function checkHealth({ slowStart, aperture, outlier, healthChecks, connections, ...rest }: Settings): void {
  inRange(rest.panicThreshold ?? 0, 0, 1);
  if (slowStart !== undefined) {
    must(slowStart.windowMs > 0 && slowStart.aggression > 0, 'a slow start');
    inRange(slowStart.minWeight, Number.MIN_VALUE, 1);
  }
  if (aperture !== undefined)
    inRange(aperture.kind === 'random_subsetting' ? aperture.size : aperture.floor, 1, UINT32_MAX);
  if (outlier !== undefined) {
    must(outlier.intervalMs >= 100, 'time between two looks');
    for (const kind of [outlier.consecutive5xx, outlier.consecutiveGatewayFailure, outlier.successRate])
      inRange(kind?.enforcing ?? 1, Number.MIN_VALUE, 1);
    inRange(outlier.maxEjection, 0, 1);
  }
  for (const { timeoutMs, intervalMs, unhealthyThreshold, healthyThreshold } of healthChecks ?? []) {
    must(timeoutMs > 0 && intervalMs > 0, 'times of checks');
    must(unhealthyThreshold > 0 && healthyThreshold > 0, 'thresholds');
  }
  inRange(connections?.warm ?? 0, 0, 100);
  if (connections?.keepAlive !== undefined) must(connections.keepAlive.intervalMs >= 1, 'a pause between PINGs');
}

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

function checkRoute({ name, match, action, cors, limits, faults }: Route): void {
  must(name !== '', 'a name');
  checkLimits(limits);
  for (const fault of faults ?? []) checkFault(fault);
  inRange(match.fraction, 0, 1);
  inRange(cors?.enabled ?? 0, 0, 1);
  inRange(cors?.shadow ?? 0, 0, 1);
  if (action.kind === 'direct') inRange(action.status, 200, 599);
  if (action.kind !== 'forward') return;
  const sum = action.clusters.reduce((total, { weight }) => total + weight, 0);
  must(action.totalWeight === sum, 'the sum of the weights');
  inRange(action.totalWeight, 1, UINT32_MAX);
  for (const cluster of action.clusters) must(cluster.name !== '' && cluster.weight > 0, 'a cluster with a weight');
  inRange(action.timeoutMs ?? 0, 0, Number.MAX_VALUE);
  inRange(action.maxStreamDurationMs ?? 0, 0, Number.MAX_VALUE);
  for (const { cluster, share } of action.mirrors ?? []) {
    must(cluster !== '', 'a cluster for copies');
    inRange(share, 0, 1);
  }
  if (action.hashPolicies !== undefined) must(action.hashPolicies.length > 0, 'policies, if any');
  if (action.hedge !== undefined) {
    inRange(action.hedge.maxAttempts, 2, 5);
    inRange(action.hedge.delayMs ?? 0, 0, Number.MAX_VALUE);
    inRange(action.hedge.percentile, Number.MIN_VALUE, 0.9999);
    inRange(action.hedge.maxExtraLoad, Number.MIN_VALUE, 1);
  }
  if (action.retry !== undefined) {
    inRange(action.retry.rateLimitedBackOff?.maxMs ?? 1, Number.MIN_VALUE, Number.MAX_VALUE);
    inRange(action.retry.hostSelection?.maxAttempts ?? 1, 1, 100);
    inRange(action.retry.maxRetries, 1, UINT32_MAX);
    inRange(action.retry.baseMs, 1, action.retry.maxMs);
  }
}

function checkLimits(limits: Route['limits']): void {
  if (limits === undefined) return;
  inRange(limits.status, 400, 599);
  must(new Set(limits.rules.map((rule) => rule.name)).size === limits.rules.length, 'rules with names of their own');
  const before = new Set<string>();
  for (const { name, key, limit, overrides, store, cost, share, unless } of limits.rules) {
    must(name !== '', 'a name of a rule');
    must(
      (unless ?? []).every((other) => before.has(other)),
      'rules before it',
    );
    before.add(name);
    inRange(share?.of ?? 1, Number.MIN_VALUE, 1);
    must(store.kind !== 'rls' || (limit === undefined && store.service !== ''), 'a service that knows the limit');
    if (typeof cost === 'number') inRange(cost, 0, 1_000_000);
    for (const found of [limit, ...(overrides ?? []).map((override) => override.limit)]) {
      if (typeof found !== 'object') continue;
      inRange(found.requests, 0, UINT32_MAX);
      if ('perMs' in found) inRange(found.perMs, 1, Number.MAX_SAFE_INTEGER);
      if ('burst' in found) inRange(found.burst, 1, UINT32_MAX);
    }
    for (const { values } of overrides ?? []) must(values.length === key.length, 'a value for each entry of the key');
  }
}

function checkFault({ name, delay, abort, reset, throttle, truncate }: FaultConfig): void {
  must(name !== '', 'a name of a fault');
  for (const kind of [delay, abort, reset, throttle, truncate]) inRange(kind?.share ?? 1, Number.MIN_VALUE, 1);
  if (throttle?.kind === 'fixed') inRange(throttle.bytesPerSecond, 1, Number.MAX_SAFE_INTEGER);
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
