import type { ClusterConfig } from '../../core/model/cluster.js';
import { DEFAULT_CONNECT_TIMEOUT_MS } from '../../core/model/connection.js';
import type { Steps } from '../../core/steps.js';
import { breaker } from './breaker.js';
import { checkPerHostLimits, circuitLimits, retryBudget } from './circuit-limits.js';
import type { PolicyNames, ReadContext } from './context.js';
import { type Discovery, discovery } from './discovery.js';
import { fallbacks } from './fallback.js';
import { healthChecks } from './health-check.js';
import { httpProtocol } from './http-protocol.js';
import { loadBalancing } from './load-balancing.js';
import { plainly } from './load-balancing-parts.js';
import { loadReports } from './load-reports.js';
import type { Message } from './message.js';
import { outlierDetection } from './outlier-detection.js';
import { percentShare } from './percent.js';
import { sessionStatuses } from './session-status.js';
import { filterMetadata, OWN_METADATA } from './struct.js';
import { clusterTls } from './tls.js';

/** `cluster.v3.Cluster`: what is known of a cluster before its endpoints are. */
export interface Cluster {
  readonly name: string;
  /** Of an aggregate only what concerns whole calls is used (`AggregateClusterConfig`). */
  readonly settings: Omit<ClusterConfig, 'endpoints' | 'drops' | 'priorities'>;
  readonly discovery: Discovery;
}

const NO_POLICIES: PolicyNames = new Set();

export function* cluster(message: Message, context: ReadContext): Steps<Cluster> {
  const name = message.requiredText('name');
  const connectTimeout = message.duration('connect_timeout');
  if (connectTimeout === 0) throw message.error('connect_timeout', 'must be greater than 0');
  checkPerHostLimits(message);
  const found = yield* discovery(message, name);
  const common = message.message('common_lb_config');
  return {
    name,
    settings: {
      kind: 'leaf',
      name,
      edsServiceName: found.kind === 'eds' ? found.serviceName : undefined,
      loadReports: loadReports(message, context.origin),
      statName: message.text('alt_stat_name') || name,
      // "we will use the LB policy configured in the underlying cluster" - A75: an aggregate's own is not looked at.
      ...(found.kind === 'aggregate'
        ? plainly({ kind: 'round_robin' })
        : loadBalancing(message, context.balancers ?? NO_POLICIES)),
      // Not set, Envoy's default of 50 % is not taken: gRPC knows no panic, and expects an endpoint known to be bad to stay unused.
      panicThreshold: common === undefined ? undefined : percentShare(common, 'healthy_panic_threshold'),
      sessionStatuses: common === undefined ? undefined : sessionStatuses(common),
      limits: circuitLimits(message),
      retryBudget: retryBudget(message),
      breaker: breaker(message),
      fallback: fallbacks(message),
      outlier: outlierDetection(message),
      healthChecks: healthChecks(message),
      healthWatch: healthWatch(message),
      ...httpProtocol(message),
      connectTimeoutMs: connectTimeout ?? DEFAULT_CONNECT_TIMEOUT_MS,
      tls: clusterTls(message, context),
    },
    discovery: found,
  };
}

/** gRFC A17's `healthCheckConfig.serviceName`, which xDS has no field for: `filter_metadata["inmesh.dev"].health_watch.service`. */
function healthWatch(cluster: Message): ClusterConfig['healthWatch'] {
  const watch = filterMetadata(cluster, OWN_METADATA)?.nested('health_watch');
  return watch === undefined ? undefined : { service: watch.text('service') ?? '' };
}
