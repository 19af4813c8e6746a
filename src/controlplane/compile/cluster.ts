import { isIP } from 'node:net';
import { DEFAULT_RETRY_BUDGET } from '../../core/model/cluster.js';
import type { Resource } from '../../core/resources.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { loadAssignment } from './endpoints.js';
import { healthChecks } from './health-checks.js';
import { loadBalancingPolicy } from './load-balancing.js';
import { outlierDetection } from './outlier-detection.js';
import { protocolOptions } from './protocol-options.js';
import { any, duration, FROM_ADS, struct, wrapped } from './proto.js';
import type { MeshPort } from './services.js';

/** Key of what only inmesh reads, in the metadata of a cluster. */
const OWN_METADATA = 'inmesh.dev';

/**
 * The cluster of one port. What is not configured is not set, so that the receiver's defaults hold.
 *
 * Addresses travel over EDS. gRPC and Envoy take only IP addresses there, so host names become DNS clusters: one name
 * LOGICAL_DNS, which gRPC knows too (A37), several STRICT_DNS, which only Envoy and inmesh know.
 */
export function cluster(port: MeshPort, policy: TrafficPolicySpec | undefined): Resource {
  const type = discoveryType(port);
  return {
    name: port.resourceName,
    type,
    ...(type === 'EDS'
      ? { eds_cluster_config: { eds_config: FROM_ADS } }
      : { load_assignment: loadAssignment(port, policy?.loadBalancer) }),
    ...(policy?.connectTimeout !== undefined && { connect_timeout: duration(policy.connectTimeout) }),
    load_balancing_policy: loadBalancingPolicy(policy),
    ...panicThreshold(policy?.loadBalancer?.panicThreshold),
    ...circuitBreakers(policy),
    ...outlierDetection(policy?.outlierDetection),
    ...healthChecks(policy?.healthChecks),
    ...ownMetadata(policy),
    ...protocolOptions(port, policy),
    ...transportSocket(port),
  };
}

export type DiscoveryType = 'EDS' | 'LOGICAL_DNS' | 'STRICT_DNS';

export function discoveryType(port: MeshPort): DiscoveryType {
  if (port.endpoints.every(({ host }) => isIP(host) !== 0)) return 'EDS';
  return port.endpoints.length === 1 ? 'LOGICAL_DNS' : 'STRICT_DNS';
}

const panicThreshold = (percent: number | undefined): Resource =>
  percent === undefined ? {} : { common_lb_config: { healthy_panic_threshold: { value: percent } } };

/** Where no `maxRetries` is given, a retry budget stands in its place, so that Envoy's default of 3 retries does not hold. */
function circuitBreakers(policy: TrafficPolicySpec | undefined): Resource {
  const pool = policy?.connectionPool;
  if (pool === undefined && policy?.retryConstraint === undefined) return {};
  const percent = policy?.retryConstraint?.budget.percent ?? DEFAULT_RETRY_BUDGET.retryRatio * 100;
  const threshold = {
    priority: 'DEFAULT',
    ...(pool?.maxConnections !== undefined && { max_connections: wrapped(pool.maxConnections) }),
    ...(pool?.maxPendingRequests !== undefined && { max_pending_requests: wrapped(pool.maxPendingRequests) }),
    ...(pool?.maxRequests !== undefined && { max_requests: wrapped(pool.maxRequests) }),
    ...(pool?.maxRetries !== undefined
      ? { max_retries: wrapped(pool.maxRetries) }
      : { retry_budget: { budget_percent: { value: percent } } }),
  };
  return { circuit_breakers: { thresholds: [threshold] } };
}

/**
 * What no proto has a field for. The retry budget is one by time, where Envoy's `retry_budget` counts calls under way; A17's health watch is of
 * gRPC's service config; connections that are open before there are calls Envoy has only as ratios.
 */
function ownMetadata(policy: TrafficPolicySpec | undefined): Resource {
  const warm = policy?.connectionPool?.warmConnections;
  const own = {
    ...(policy?.retryConstraint !== undefined && { retry_budget: retryBudget(policy.retryConstraint) }),
    ...(warm !== undefined && { warm_connections: warm }),
    ...(policy?.healthWatch !== undefined && { health_watch: { service: policy.healthWatch.service } }),
  };
  return Object.keys(own).length === 0 ? {} : { metadata: { filter_metadata: { [OWN_METADATA]: struct(own) } } };
}

const retryBudget = ({ budget, minRetryRate }: NonNullable<TrafficPolicySpec['retryConstraint']>) => ({
  retry_ratio: budget.percent / 100,
  min_retries_per_second: (minRetryRate.count * 1_000) / minRetryRate.interval,
  ttl_ms: budget.interval,
});

function transportSocket(port: MeshPort): Resource {
  if (!port.tls || port.dnsName === undefined) return {};
  // Envoy verifies the chain only, unless it is told the name that the certificate must have.
  const names = [{ san_type: 'DNS', matcher: { exact: port.dnsName } }];
  const context = any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
    sni: port.dnsName,
    common_tls_context: { validation_context: { system_root_certs: {}, match_typed_subject_alt_names: names } },
  });
  return { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: context } };
}
