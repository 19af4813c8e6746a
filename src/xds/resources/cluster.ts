import { type ClusterConfig, DEFAULT_CONNECT_TIMEOUT_MS } from '../../core/model/cluster.js';
import type { Steps } from '../../core/steps.js';
import { checkPerHostLimits, circuitLimits, retryBudget } from './circuit-limits.js';
import type { ReadContext } from './context.js';
import { type Discovery, discovery } from './discovery.js';
import { httpProtocol } from './http-protocol.js';
import { balancer } from './load-balancing.js';
import { loadReports } from './load-reports.js';
import type { Message } from './message.js';
import { checkOutlierDetection } from './outlier-detection.js';
import { tlsOrigination } from './tls.js';

/** `cluster.v3.Cluster`: what is known of a cluster before its endpoints are. */
export interface Cluster {
  readonly name: string;
  /** Of an aggregate only what concerns whole calls is used (`AggregateClusterConfig`). */
  readonly settings: Omit<ClusterConfig, 'endpoints' | 'drops'>;
  readonly discovery: Discovery;
}

export function* cluster(message: Message, context: ReadContext): Steps<Cluster> {
  const name = message.requiredText('name');
  // Envoy would choose among the endpoints by their metadata; to send to all of them would be wrong.
  if (message.has('lb_subset_config'))
    throw message.error('lb_subset_config', 'is not supported; use a cluster per subset');
  const connectTimeout = message.duration('connect_timeout');
  if (connectTimeout === 0) throw message.error('connect_timeout', 'must be greater than 0');
  checkOutlierDetection(message);
  checkPerHostLimits(message);
  const found = yield* discovery(message, name);
  return {
    name,
    settings: {
      kind: 'leaf',
      name,
      edsServiceName: found.kind === 'eds' ? found.serviceName : undefined,
      loadReports: loadReports(message, context.origin),
      statName: message.text('alt_stat_name') || name,
      // "we will use the LB policy configured in the underlying cluster" - A75: an aggregate's own is not looked at.
      balancer: found.kind === 'aggregate' ? { kind: 'round_robin' } : balancer(message),
      limits: circuitLimits(message),
      retryBudget: retryBudget(message),
      ...httpProtocol(message),
      connectTimeoutMs: connectTimeout ?? DEFAULT_CONNECT_TIMEOUT_MS,
      tls: tlsOrigination(message, context),
    },
    discovery: found,
  };
}
