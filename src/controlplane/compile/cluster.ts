import { isIP } from 'node:net';
import { DEFAULT_RETRY_BUDGET } from '../../core/model/cluster.js';
import type { Resource } from '../../core/resources.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { loadAssignment } from './endpoints.js';
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
    ...(type === 'EDS' ? { eds_cluster_config: { eds_config: FROM_ADS } } : { load_assignment: loadAssignment(port) }),
    ...(policy?.connectTimeout !== undefined && { connect_timeout: duration(policy.connectTimeout) }),
    load_balancing_policy: loadBalancingPolicy(policy?.loadBalancer),
    ...circuitBreakers(policy),
    ...retryBudget(policy),
    ...protocolOptions(port, policy?.idleTimeout),
    ...transportSocket(port),
  };
}

export type DiscoveryType = 'EDS' | 'LOGICAL_DNS' | 'STRICT_DNS';

export function discoveryType(port: MeshPort): DiscoveryType {
  if (port.endpoints.every(({ host }) => isIP(host) !== 0)) return 'EDS';
  return port.endpoints.length === 1 ? 'LOGICAL_DNS' : 'STRICT_DNS';
}

/** A list of which each client takes the first that it knows (gRFC A52); Envoy and gRPC all know the last. */
function loadBalancingPolicy(balancer: TrafficPolicySpec['loadBalancer']): Resource {
  const kind = balancer?.simple ?? 'PEAK_EWMA';
  const leastRequest = envoyPolicy('least_request', 'LeastRequest', {
    choice_count: wrapped(balancer?.choiceCount ?? 2),
  });
  const roundRobin = envoyPolicy('round_robin', 'RoundRobin', {});
  switch (kind) {
    case 'ROUND_ROBIN':
      return { policies: [roundRobin] };
    case 'RANDOM':
      return { policies: [envoyPolicy('random', 'Random', {}), roundRobin] };
    case 'LEAST_REQUEST':
      return { policies: [leastRequest, roundRobin] };
    case 'PEAK_EWMA': {
      const value = struct({
        ...(balancer?.decay !== undefined && { decay_ms: balancer.decay }),
        ...(balancer?.defaultRtt !== undefined && { default_rtt_ms: balancer.defaultRtt }),
      });
      const type_url = `type.googleapis.com/${OWN_METADATA}/peak_ewma`;
      const own = policyOf(`${OWN_METADATA}/peak_ewma`, any('xds.type.v3.TypedStruct', { type_url, value }));
      return { policies: [own, leastRequest, roundRobin] };
    }
  }
}

const policyOf = (name: string, typed_config: Resource): Resource => ({
  typed_extension_config: { name, typed_config },
});

const envoyPolicy = (file: string, message: string, fields: Resource): Resource =>
  policyOf(
    `envoy.load_balancing_policies.${file}`,
    any(`envoy.extensions.load_balancing_policies.${file}.v3.${message}`, fields),
  );

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

/** The budget by time, which no proto has a field for. Envoy's `retry_budget` counts calls under way instead. */
function retryBudget(policy: TrafficPolicySpec | undefined): Resource {
  const constraint = policy?.retryConstraint;
  if (constraint === undefined) return {};
  const { budget, minRetryRate } = constraint;
  const retry_budget = {
    retry_ratio: budget.percent / 100,
    min_retries_per_second: (minRetryRate.count * 1_000) / minRetryRate.interval,
    ttl_ms: budget.interval,
  };
  return { metadata: { filter_metadata: { [OWN_METADATA]: struct({ retry_budget }) } } };
}

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function protocolOptions(port: MeshPort, idleTimeoutMs: number | undefined): Resource {
  if (!port.http2 && idleTimeoutMs === undefined) return {};
  const options = any(HTTP_OPTIONS, {
    ...(idleTimeoutMs !== undefined && { common_http_protocol_options: { idle_timeout: duration(idleTimeoutMs) } }),
    explicit_http_config: port.http2 ? { http2_protocol_options: {} } : { http_protocol_options: {} },
  });
  return { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } };
}

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
