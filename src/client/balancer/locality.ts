import type { LocalityConfig } from '../../core/model/cluster.js';
import type { Locality } from '../../core/model/endpoint.js';
import type { Endpoint } from '../endpoints/endpoint.js';

export const localityKey = ({ region, zone, subZone }: Locality): string => `${region}/${zone}/${subZone}`;

/** Endpoints that take traffic, and their shares of it. */
export interface Weighed {
  readonly endpoints: readonly Endpoint[];
  readonly weights: Float64Array;
}

/** What an endpoint weighs at rest, among those of its priority; written to `Endpoint.weight` as well, for people to see. */
export function weigh(endpoints: readonly Endpoint[], locality: LocalityConfig | undefined): Weighed {
  const shared = (locality === undefined || locality.kind === 'weighted') && !inOnePlace(endpoints);
  const weighed = shared ? byLocality(endpoints) : byEndpoint(endpoints);
  for (let i = 0; i < weighed.weights.length; i++)
    (weighed.endpoints[i] as Endpoint).weight = weighed.weights[i] as number;
  return weighed;
}

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
  return { endpoints, weights: Float64Array.from(endpoints, ({ config }) => config.weight) };
}

/**
 * A locality gets its weight's share of the traffic, and an endpoint its weight's share of that (gRPC `wrr_locality`, gRFC A113). One that weighs 0
 * gets none (Envoy), unless no other weighs anything.
 */
function byLocality(all: readonly Endpoint[]): Weighed {
  const weighty = all.filter(({ config }) => config.localityWeight > 0);
  const endpoints = weighty.length === 0 || weighty.length === all.length ? all : weighty;
  const sums = new Map<string, number>();
  const keys = endpoints.map(({ config }) => localityKey(config.locality));
  for (const [i, { config }] of endpoints.entries()) {
    const key = keys[i] as string;
    sums.set(key, (sums.get(key) ?? 0) + config.weight);
  }
  if (weighty.length === 0 || sums.size === 1) return byEndpoint(endpoints);
  const weights = Float64Array.from(
    endpoints,
    ({ config }, i) => (config.localityWeight * config.weight) / (sums.get(keys[i] as string) as number),
  );
  return { endpoints, weights };
}
