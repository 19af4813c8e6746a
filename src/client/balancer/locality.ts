import type { LocalityConfig, PriorityConfig } from '../../core/model/balancer.js';
import type { Locality } from '../../core/model/endpoint.js';
import type { Endpoint } from '../endpoints/endpoint.js';

export const localityKey = ({ region, zone, subZone }: Locality): string => `${region}/${zone}/${subZone}`;

/** Endpoints that take traffic, and their shares of it. */
export interface Weighed {
  readonly endpoints: readonly Endpoint[];
  readonly weights: Float64Array;
}

export interface LocalityRule {
  readonly locality?: LocalityConfig | undefined;
  /** With Envoy's way of priorities goes its way with localities that have lost endpoints. */
  readonly priorities?: PriorityConfig | undefined;
}

/**
 * What the endpoints weigh at rest, among those of their priority; written to `Endpoint.weight` as well, for people to see. `configured`: all of the
 * priority, those that may not be used as well.
 */
export function weigh(
  endpoints: readonly Endpoint[],
  configured: readonly Endpoint[],
  { locality, priorities }: LocalityRule,
): Weighed {
  const shared = (locality === undefined || locality.kind === 'weighted') && !inOnePlace(endpoints);
  const weighed = shared ? byLocality(endpoints, configured, priorities) : byEndpoint(endpoints);
  for (let i = 0; i < weighed.weights.length; i++)
    (weighed.endpoints[i] as Endpoint).weight = weighed.weights[i] as number;
  return weighed;
}

/** Those of `configured` that would take traffic beside `endpoints`: none of a locality that weighs nothing, where others do. */
export function weighty(
  endpoints: readonly Endpoint[],
  configured: readonly Endpoint[],
  { locality }: LocalityRule,
): readonly Endpoint[] {
  const counts = locality === undefined || locality.kind === 'weighted';
  return counts && endpoints.some(hasWeight) ? configured.filter(hasWeight) : configured;
}

const hasWeight = ({ config }: Endpoint): boolean => config.localityWeight > 0;

/** Of all the endpoints that it stands for, where this client uses some of them only. */
export const ownWeight = ({ config, sample }: Endpoint): number => config.weight * (sample?.count ?? 1);

/** Nearly always: looked for first, as it is cheap to see. */
function inOnePlace(endpoints: readonly Endpoint[]): boolean {
  const first = endpoints[0]?.config.locality;
  return endpoints.every(({ config: { locality } }) => {
    if (locality === first || first === undefined) return true;
    return locality.zone === first.zone && locality.subZone === first.subZone && locality.region === first.region;
  });
}

/** By the endpoints' own weights, wherever they are. */
function byEndpoint(endpoints: readonly Endpoint[]): Weighed {
  // By hand: `Float64Array.from` takes four times as long, and this is done at each change.
  const weights = new Float64Array(endpoints.length);
  for (let i = 0; i < weights.length; i++) weights[i] = ownWeight(endpoints[i] as Endpoint);
  return { endpoints, weights };
}

/**
 * A locality gets its weight's share of the traffic, and an endpoint its weight's share of that (gRPC `wrr_locality`, gRFC A113). One that weighs 0
 * gets none (Envoy), unless no other weighs anything.
 */
function byLocality(
  all: readonly Endpoint[],
  configured: readonly Endpoint[],
  priorities: PriorityConfig | undefined,
): Weighed {
  const endpoints = all.every(hasWeight) ? all : all.filter(hasWeight);
  if (endpoints.length === 0) return byEndpoint(all);
  const keys = endpoints.map(({ config }) => localityKey(config.locality));
  const sums = new Map<string, number>();
  for (const [i, endpoint] of endpoints.entries()) {
    const key = keys[i] as string;
    sums.set(key, (sums.get(key) ?? 0) + ownWeight(endpoint));
  }
  const part = priorities === undefined ? undefined : availability(keys, configured, priorities);
  const weights = Float64Array.from(endpoints, (endpoint, i) => {
    const key = keys[i] as string;
    // Of a locality with few endpoints in this client's subset, other clients have more.
    const localityWeight = endpoint.config.localityWeight * (endpoint.sample?.place ?? 1);
    return ((part?.get(key) ?? 1) * localityWeight * ownWeight(endpoint)) / (sums.get(key) as number);
  });
  return { endpoints, weights };
}

/**
 * Envoy's part of its weight that a locality keeps: the usable share of its endpoints × the overprovisioning factor, at most the whole. What is left of
 * a locality gets no more than it can take; gRPC gives it all.
 */
function availability(
  usable: readonly string[],
  configured: readonly Endpoint[],
  { overprovisioningFactor }: PriorityConfig,
): ReadonlyMap<string, number> {
  const counts = new Map<string, { usable: number; all: number }>();
  for (const { config } of configured) {
    const count = counts.get(localityKey(config.locality));
    if (count === undefined) counts.set(localityKey(config.locality), { usable: 0, all: 1 });
    else count.all++;
  }
  for (const key of usable) {
    const count = counts.get(key);
    if (count !== undefined) count.usable++;
  }
  return new Map(
    Array.from(counts, ([key, count]) => [key, Math.min(1, (overprovisioningFactor * count.usable) / count.all)]),
  );
}
