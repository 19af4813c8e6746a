import type { PriorityConfig } from '../../core/model/balancer.js';
import { addressKey, type EndpointConfig, type Locality } from '../../core/model/endpoint.js';
import type { Steps } from '../../core/steps.js';
import { type Hosts, socketAddress } from './address.js';
import { isHeaderValue } from './header-name.js';
import { type Message, UINT32_MAX } from './message.js';
import { fractionalPercent } from './percent.js';
import { HEALTH_STATUS } from './session-status.js';
import { filterMetadata, OWN_METADATA } from './struct.js';

/** `endpoint.v3.ClusterLoadAssignment`: the endpoints of a cluster, and what of its calls to drop. */
export interface Assignment {
  readonly endpoints: readonly EndpointConfig[];
  readonly drops: readonly { readonly category: string; readonly share: number }[];
  /** From `overprovisioning_factor`; without one, as gRPC does it (gRFC A56). */
  readonly priorities?: PriorityConfig | undefined;
}

/** What differs between an assignment that came over EDS and one that a cluster carries. */
export interface AssignmentRules {
  readonly hosts: Hosts;
  /** EDS: a locality must be named, and one without a weight is left out (gRFC A27). Inline: as in Envoy, neither. */
  readonly eds: boolean;
}

/** "lte: 128" - endpoint_components.proto */
const MAX_PRIORITY = 128;

/** Pauses after each endpoint. */
export function* loadAssignment(message: Message, rules: AssignmentRules): Steps<Assignment> {
  const endpoints: EndpointConfig[] = [];
  const addresses = new Set<string>();
  const priorities = new Map<number, { readonly localities: Set<string>; weight: number }>();
  for (const group of message.each('endpoints')) {
    yield;
    const found = yield* localityGroup(group, rules, addresses);
    if (found === undefined) continue;
    let priority = priorities.get(found.priority);
    if (priority === undefined) {
      priority = { localities: new Set(), weight: 0 };
      priorities.set(found.priority, priority);
    }
    const id = JSON.stringify([found.locality.region, found.locality.zone, found.locality.subZone]);
    if (priority.localities.has(id))
      throw group.error('locality', `must not be repeated in priority ${found.priority}, got ${id} again`);
    priority.localities.add(id);
    priority.weight += found.weight;
    if (priority.weight > UINT32_MAX) {
      throw group.error(
        'load_balancing_weight',
        `weights of priority ${found.priority} must add up to at most ${UINT32_MAX}`,
      );
    }
    for (const endpoint of found.endpoints) endpoints.push(endpoint);
  }
  for (let i = 0; i < priorities.size; i++) {
    if (!priorities.has(i))
      throw message.error('endpoints', `priorities must have no gap, but there is none with priority ${i}`);
  }
  const policy = message.message('policy');
  return { endpoints, drops: dropOverloads(policy), priorities: overprovisioning(policy) };
}

interface Group {
  readonly locality: Locality;
  readonly priority: number;
  readonly weight: number;
  readonly endpoints: readonly EndpointConfig[];
}

/** `LocalityLbEndpoints`; undefined when it gets no calls. */
function* localityGroup(group: Message, rules: AssignmentRules, addresses: Set<string>): Steps<Group | undefined> {
  const id = rules.eds ? group.required('locality') : group.message('locality');
  const localityWeight = group.uint32Value('load_balancing_weight') ?? (rules.eds ? 0 : 1);
  // "If the `load_balancing_weight` field is unset, the `endpoints` entry is skipped" - A27; C-core and Go skip 0 too, with all that is in it.
  if (localityWeight === 0) return undefined;
  if (group.oneof('load_balancer_endpoints', 'leds_cluster_locality_config') !== undefined) {
    throw group.error(
      '',
      'only lb_endpoints are supported, not load_balancer_endpoints or leds_cluster_locality_config',
    );
  }
  const locality: Locality = {
    region: id?.text('region') ?? '',
    zone: id?.text('zone') ?? '',
    subZone: id?.text('sub_zone') ?? '',
  };
  const priority = group.uint32('priority');
  if (priority > MAX_PRIORITY) throw group.error('priority', `must be at most ${MAX_PRIORITY}, got ${priority}`);
  const endpoints: EndpointConfig[] = [];
  let weights = 0;
  for (const lbEndpoint of group.each('lb_endpoints')) {
    yield;
    const found = endpoint(lbEndpoint, { locality, localityWeight, priority }, rules, addresses);
    weights += found.weight;
    if (weights > UINT32_MAX)
      throw lbEndpoint.error('load_balancing_weight', `weights of a locality must add up to at most ${UINT32_MAX}`);
    endpoints.push(found);
  }
  return { locality, priority, weight: localityWeight, endpoints };
}

type Place = Pick<EndpointConfig, 'locality' | 'localityWeight' | 'priority'>;

function endpoint(lbEndpoint: Message, place: Place, rules: AssignmentRules, taken: Set<string>): EndpointConfig {
  if (lbEndpoint.oneof('endpoint', 'endpoint_name') !== 'endpoint') {
    throw lbEndpoint.error('', 'must have endpoint; endpoint_name is not supported');
  }
  const target = lbEndpoint.required('endpoint');
  const first = socketAddress(target.required('address'), rules.hosts);
  const others = target
    .messages('additional_addresses')
    .map((other) => socketAddress(other.required('address'), rules.hosts));
  for (const address of [first, ...others]) {
    const key = addressKey(address);
    if (taken.has(key)) throw target.error('address', `must not be repeated in the cluster, got ${key} again`);
    taken.add(key);
  }
  const weight = lbEndpoint.uint32Value('load_balancing_weight') ?? 1;
  if (weight === 0) throw lbEndpoint.error('load_balancing_weight', 'must be greater than 0');
  const hostname = target.text('hostname');
  return {
    key: addressKey(first),
    addresses: [first, ...others],
    hostname: hostname === '' ? undefined : hostname,
    weight,
    ...place,
    // gRFC A27 knows UNKNOWN and HEALTHY only, and leaves the others out; they are kept for sessions (gRFC A55), for want of better, and for panic.
    health: HEALTH_STATUS[lbEndpoint.choice('health_status', HEALTH_STATUSES)],
    labels: labels(lbEndpoint),
    ...healthCheck(target),
    hashKey: filterMetadata(lbEndpoint, 'envoy.lb')?.label('hash_key') || undefined,
  };
}

const HEALTH_STATUSES = ['UNKNOWN', 'HEALTHY', 'UNHEALTHY', 'DRAINING', 'TIMEOUT', 'DEGRADED'] as const;

/** `Endpoint.health_check_config`: where active checks go. */
function healthCheck(target: Message): Pick<EndpointConfig, 'healthCheckPort' | 'healthCheckHost'> {
  const config = target.message('health_check_config');
  if (config === undefined) return NO_HEALTH_CHECK;
  const port = config.uint32('port_value');
  // "lte: 65535" - endpoint_components.proto
  if (port > 65_535) throw config.error('port_value', `must be at most 65535, got ${port}`);
  const host = config.text('hostname');
  if (!isHeaderValue(host)) throw config.error('hostname', 'must be a host name');
  return {
    healthCheckPort: port === 0 ? undefined : port,
    healthCheckHost: host === '' ? undefined : host,
  };
}

const NO_HEALTH_CHECK = { healthCheckPort: undefined, healthCheckHost: undefined };

function labels(lbEndpoint: Message): Readonly<Record<string, string>> {
  const found: Record<string, string> = Object.create(null);
  for (const namespace of ['envoy.lb', OWN_METADATA]) {
    const metadata = filterMetadata(lbEndpoint, namespace);
    if (metadata !== undefined) for (const [name, value] of metadata.labels()) found[name] = value;
  }
  return found;
}

/** "gt: 0" - endpoint.proto; in percent, 140 in Envoy when not set. */
function overprovisioning(policy: Message | undefined): PriorityConfig | undefined {
  const factor = policy?.uint32Value('overprovisioning_factor');
  if (policy === undefined || factor === undefined) return undefined;
  if (factor === 0) throw policy.error('overprovisioning_factor', 'must be greater than 0');
  return { overprovisioningFactor: factor / 100 };
}

function dropOverloads(policy: Message | undefined): Assignment['drops'] {
  return (policy?.messages('drop_overloads') ?? []).map((drop) => {
    const percentage = drop.message('drop_percentage');
    return {
      category: drop.requiredText('category'),
      share: percentage === undefined ? 0 : fractionalPercent(percentage),
    };
  });
}
