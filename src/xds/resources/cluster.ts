import { type ClusterConfig, DEFAULT_CONNECT_TIMEOUT_MS } from '../../core/model/cluster.js';
import { circuitLimits, retryBudget } from './circuit-limits.js';
import { type Discovery, discovery } from './discovery.js';
import { httpProtocol } from './http-protocol.js';
import { balancer } from './load-balancing.js';
import type { Message } from './message.js';
import { tlsOrigination } from './tls.js';

/** `cluster.v3.Cluster`: what is known of a cluster before its endpoints are. */
export interface Cluster {
  readonly name: string;
  readonly settings: Omit<ClusterConfig, 'endpoints' | 'drops'>;
  readonly discovery: Discovery;
}

export function cluster(message: Message): Cluster {
  const name = message.requiredText('name');
  const lrs = message.message('lrs_server');
  if (lrs !== undefined && !lrs.has('self')) throw message.error('lrs_server', 'must be self (gRFC A27)');
  // Envoy would choose among the endpoints by their metadata; to send to all of them would be wrong.
  if (message.has('lb_subset_config'))
    throw message.error('lb_subset_config', 'is not supported; use a cluster per subset');
  const connectTimeout = message.duration('connect_timeout');
  if (connectTimeout === 0) throw message.error('connect_timeout', 'must be greater than 0');
  const found = discovery(message, name);
  return {
    name,
    settings: {
      kind: 'leaf',
      name,
      edsServiceName: found.kind === 'eds' ? found.serviceName : undefined,
      loadReports: undefined,
      statName: message.text('alt_stat_name') || name,
      balancer: balancer(message),
      limits: circuitLimits(message),
      retryBudget: retryBudget(message),
      ...httpProtocol(message),
      connectTimeoutMs: connectTimeout ?? DEFAULT_CONNECT_TIMEOUT_MS,
      tls: tlsOrigination(message),
    },
    discovery: found,
  };
}
