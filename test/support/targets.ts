import type { ClusterConfig } from '../../src/core/model/cluster.js';
import { DEFAULT_BALANCER } from '../../src/core/model/balancer.js';
import { DEFAULT_CIRCUIT_LIMITS } from '../../src/core/model/circuit-limits.js';
import { DEFAULT_RETRY_BUDGET } from '../../src/core/model/retry-budget.js';
import type { RouteMatch } from '../../src/core/model/match.js';
import type { CorsPolicy, ForwardAction, Route } from '../../src/core/model/route.js';
import type { TargetConfig } from '../../src/core/model/target.js';
import { anEndpoint } from './endpoints.js';

/** Configuration values with what a test does not care about filled in. */

export const aMatch = (more: Partial<RouteMatch> = {}): RouteMatch => ({
  path: { kind: 'prefix', value: '/', ignoreCase: false },
  headers: [],
  query: [],
  fraction: 1,
  grpcOnly: false,
  ...more,
});

export const aForward = (clusters: Record<string, number>, more: Partial<ForwardAction> = {}): ForwardAction => {
  const weighted = Object.entries(clusters).map(([name, weight]) => ({
    name,
    weight,
    requestHeaders: undefined,
    responseHeaders: undefined,
  }));
  return {
    kind: 'forward',
    clusters: weighted as unknown as ForwardAction['clusters'],
    totalWeight: weighted.reduce((sum, { weight }) => sum + weight, 0),
    timeoutMs: undefined,
    maxStreamDurationMs: undefined,
    retry: undefined,
    pathRewrite: undefined,
    hostRewrite: undefined,
    ...more,
  };
};

export const aRoute = (more: Partial<Route> = {}): Route => ({
  name: 'route',
  match: aMatch(),
  action: aForward({ reviews: 1 }),
  requestHeaders: undefined,
  responseHeaders: undefined,
  ...more,
});

export const aCluster = (
  name: string,
  endpoints: readonly string[],
  more: Partial<ClusterConfig> = {},
): ClusterConfig => ({
  kind: 'leaf',
  name,
  edsServiceName: undefined,
  loadReports: undefined,
  statName: name,
  balancer: DEFAULT_BALANCER,
  limits: DEFAULT_CIRCUIT_LIMITS,
  retryBudget: DEFAULT_RETRY_BUDGET,
  protocol: 'http1',
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 300_000,
  tls: undefined,
  endpoints: endpoints.map((at) => anEndpoint(at)),
  drops: [],
  ...more,
});

export const aTarget = (routes: readonly Route[], clusters: readonly ClusterConfig[]): TargetConfig => ({
  authority: 'reviews',
  routes,
  clusters: new Map(clusters.map((cluster) => [cluster.name, cluster])),
});

/** Allows nothing but what the test says; enforced for every request. */
export const aCorsPolicy = (more: Partial<CorsPolicy>): CorsPolicy => ({
  allowOrigin: [],
  allowMethods: '',
  allowHeaders: '',
  exposeHeaders: '',
  maxAge: '',
  allowCredentials: false,
  allowPrivateNetwork: false,
  forwardNotMatchingPreflights: true,
  enabled: 1,
  shadow: 0,
  ...more,
});
