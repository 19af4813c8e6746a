import { TYPE_PREFIX } from '../../core/resources.js';
import type { Steps } from '../../core/steps.js';
import { requireAdsOrSelf } from './config-source.js';
import { type Assignment, loadAssignment } from './endpoint.js';
import type { Message } from './message.js';

/** Which of a name's addresses are used: Envoy's `DnsLookupFamily`. */
export type DnsFamily = 'AUTO' | 'V4_ONLY' | 'V6_ONLY' | 'V4_PREFERRED' | 'ALL';

export interface DnsDiscovery {
  /** `strict_dns`: every address is an endpoint. `logical_dns`: all addresses are one endpoint (gRFC A37, A61). */
  readonly kind: 'strict_dns' | 'logical_dns';
  readonly family: DnsFamily;
  /** Milliseconds between two look-ups; undefined: our own default, `DNS_REFRESH_MS`. */
  readonly refreshMs: number | undefined;
  /** The hosts of its endpoints are names, or addresses, which need no resolving. */
  readonly assignment: Assignment;
}

/** How a cluster finds its endpoints. */
export type Discovery =
  | { readonly kind: 'eds'; readonly serviceName: string }
  | { readonly kind: 'static'; readonly assignment: Assignment }
  | DnsDiscovery
  /** Names of clusters, which may be aggregates themselves, in order of preference (gRFC A37). */
  | { readonly kind: 'aggregate'; readonly clusters: readonly string[] };

/** A shorter `dns_refresh_rate` would only load the resolver. */
const MIN_REFRESH_MS = 1_000;

const AGGREGATE = 'envoy.extensions.clusters.aggregate.v3.ClusterConfig';

export function* discovery(cluster: Message, name: string): Steps<Discovery> {
  if (cluster.oneof('type', 'cluster_type') === 'cluster_type') return aggregate(cluster.required('cluster_type'));
  const type = cluster.choice('type', ['STATIC', 'STRICT_DNS', 'LOGICAL_DNS', 'EDS', 'ORIGINAL_DST']);
  switch (type) {
    case 'EDS':
      return edsDiscovery(cluster, name);
    case 'STATIC':
      return {
        kind: 'static',
        assignment: yield* loadAssignment(cluster.required('load_assignment'), { hosts: 'ip', eds: false }),
      };
    case 'STRICT_DNS':
      return yield* dnsDiscovery(cluster, 'strict_dns');
    case 'LOGICAL_DNS':
      return yield* dnsDiscovery(cluster, 'logical_dns');
    default:
      throw cluster.error('type', `must be EDS, STATIC, STRICT_DNS or LOGICAL_DNS, got ${type}`);
  }
}

/** gRFC A37: "The `type_url` field must have the value …aggregate.v3.ClusterConfig"; there is no other type of this kind. */
function aggregate(type: Message): Discovery {
  const config = type.required('typed_config');
  if (config.type !== TYPE_PREFIX + AGGREGATE) {
    throw type.error(
      'typed_config',
      `must be a ${AGGREGATE}, got "${config.type}"; or use type EDS, STATIC, STRICT_DNS or LOGICAL_DNS`,
    );
  }
  const clusters = config.texts('clusters');
  // "The `clusters` field must have at least one entry." - A37
  if (clusters.length === 0) throw config.error('clusters', 'must have at least one cluster (gRFC A37)');
  const nameless = clusters.indexOf('');
  if (nameless >= 0) throw config.error(`clusters[${nameless}]`, 'must not be empty');
  return { kind: 'aggregate', clusters };
}

function edsDiscovery(cluster: Message, name: string): Discovery {
  const eds = cluster.required('eds_cluster_config');
  requireAdsOrSelf(eds.required('eds_config'));
  const serviceName = eds.text('service_name');
  // A cluster with an xdstp name must say which assignment it means (gRFC A47).
  if (serviceName === '' && name.startsWith('xdstp:'))
    throw eds.error('service_name', 'must be set for a cluster with an xdstp name');
  return { kind: 'eds', serviceName: serviceName === '' ? name : serviceName };
}

function* dnsDiscovery(cluster: Message, kind: DnsDiscovery['kind']): Steps<DnsDiscovery> {
  const load = cluster.required('load_assignment');
  const assignment = yield* loadAssignment(load, { hosts: 'ip-or-name', eds: false });
  const several = assignment.endpoints.find(({ addresses }) => addresses.length > 1);
  if (several !== undefined)
    throw load.error('endpoints', `additional_addresses are not supported with DNS, got some for ${several.key}`);
  if (kind === 'logical_dns') {
    const groups = load.messages('endpoints');
    if (groups.length !== 1 || groups[0]?.messages('lb_endpoints').length !== 1) {
      throw load.error(
        'endpoints',
        'must have exactly one locality with exactly one endpoint for LOGICAL_DNS (gRFC A37)',
      );
    }
  }
  const refresh = cluster.duration('dns_refresh_rate');
  return {
    kind,
    family: cluster.choice('dns_lookup_family', ['AUTO', 'V4_ONLY', 'V6_ONLY', 'V4_PREFERRED', 'ALL']),
    refreshMs: refresh === undefined ? undefined : Math.max(MIN_REFRESH_MS, refresh),
    assignment,
  };
}
