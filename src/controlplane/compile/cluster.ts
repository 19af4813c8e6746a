import { isIP } from 'node:net';
import type { Resource } from '../../core/resources.js';
import type { TrafficPolicySpec } from '../yaml/schema/traffic-policy.js';
import { circuitBreakers } from './circuit-breakers.js';
import { loadAssignment } from './endpoints.js';
import { healthChecks } from './health-checks.js';
import { loadBalancingPolicy } from './load-balancing.js';
import { outlierDetection } from './outlier-detection.js';
import { ownMetadata } from './own-metadata.js';
import { protocolOptions } from './protocol-options.js';
import { duration, FROM_ADS, type Plain } from './proto.js';
import type { MeshPort } from './services.js';
import { type UpstreamSpec, upstreamTls } from './tls-context.js';

/**
 * The cluster of one port. What is not configured is not set, so that the receiver's defaults hold. `fallbacks` as `ownMetadata` has them; `tls`: what callers do first.
 *
 * Addresses travel over EDS. gRPC and Envoy take only IP addresses there, so host names become DNS clusters: one name
 * LOGICAL_DNS, which gRPC knows too (A37), several STRICT_DNS, which only Envoy and inmesh know.
 */
export function cluster(
  port: MeshPort,
  policy: TrafficPolicySpec | undefined,
  fallbacks: readonly Plain[] = [],
  tls?: UpstreamSpec | undefined,
): Resource {
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
    ...ownMetadata(policy, fallbacks),
    ...protocolOptions(port, policy),
    ...(tls !== undefined && upstreamTls(tls)),
  };
}

export type DiscoveryType = 'EDS' | 'LOGICAL_DNS' | 'STRICT_DNS';

export function discoveryType(port: MeshPort): DiscoveryType {
  if (port.endpoints.every(({ host }) => isIP(host) !== 0)) return 'EDS';
  return port.endpoints.length === 1 ? 'LOGICAL_DNS' : 'STRICT_DNS';
}

const panicThreshold = (percent: number | undefined): Resource =>
  percent === undefined ? {} : { common_lb_config: { healthy_panic_threshold: { value: percent } } };
