import type { MethodDefinition } from '@grpc/grpc-js';
import { CLUSTER, ENDPOINT, LISTENER, type ResourceType, ROUTE } from '../../core/resources.js';
import type { Codec } from './codec.js';
import type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse } from './messages.js';

const PACKAGE = 'envoy.service.discovery.v3';

export type AdsMethod = MethodDefinition<DiscoveryRequest, DiscoveryResponse>;
export type DeltaMethod = MethodDefinition<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

/** The two bidirectional streams of a discovery service: state of the world, and incremental. */
export interface DiscoveryMethods {
  readonly stream: AdsMethod;
  readonly delta: DeltaMethod;
}

/** Of each type's own service: its full name, and what follows `Stream` and `Delta` in the names of its methods. */
const SERVICES: Readonly<Record<ResourceType, readonly [service: string, resources: string]>> = {
  [LISTENER]: ['envoy.service.listener.v3.ListenerDiscoveryService', 'Listeners'],
  [ROUTE]: ['envoy.service.route.v3.RouteDiscoveryService', 'Routes'],
  [CLUSTER]: ['envoy.service.cluster.v3.ClusterDiscoveryService', 'Clusters'],
  [ENDPOINT]: ['envoy.service.endpoint.v3.EndpointDiscoveryService', 'Endpoints'],
};
const AGGREGATED = [`${PACKAGE}.AggregatedDiscoveryService`, 'AggregatedResources'] as const;

/**
 * The methods of the service for one type, or of the aggregated one, for a client and for a server alike:
 * `server.addService(discoveryMethods(codec), { stream, delta })`.
 */
export function discoveryMethods(codec: Codec, type?: ResourceType): DiscoveryMethods {
  const [service, resources] = type === undefined ? AGGREGATED : SERVICES[type];
  return {
    stream: method(codec, `/${service}/Stream${resources}`, 'Discovery'),
    delta: method(codec, `/${service}/Delta${resources}`, 'DeltaDiscovery'),
  };
}

/** The same of SecretDiscoveryService (Envoy service/secret/v3/sds.proto): secrets are part of no configuration, and never on a stream with one. */
export const secretMethods = (codec: Codec): DiscoveryMethods => ({
  stream: method(codec, '/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets', 'Discovery'),
  delta: method(codec, '/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets', 'DeltaDiscovery'),
});

/** A grpc-js service definition: `server.addService(adsService(codec), { StreamAggregatedResources })`, or a client's method. */
export function adsService(codec: Codec): { readonly StreamAggregatedResources: AdsMethod } {
  return { StreamAggregatedResources: discoveryMethods(codec).stream };
}

function method<Request extends object, Response extends object>(
  codec: Codec,
  path: string,
  messages: 'Discovery' | 'DeltaDiscovery',
): MethodDefinition<Request, Response> {
  const [request, response] = [`${PACKAGE}.${messages}Request`, `${PACKAGE}.${messages}Response`];
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message) => asBuffer(codec.encodeMessage(request, message)),
    requestDeserialize: (bytes) => codec.decodeMessage(request, bytes, { rawAny: true }) as Request,
    responseSerialize: (message) => asBuffer(codec.encodeMessage(response, message)),
    responseDeserialize: (bytes) => codec.decodeMessage(response, bytes, { rawAny: true }) as Response,
  };
}

/** The same memory as the Buffer that grpc-js wants. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
