import type { MethodDefinition } from '@grpc/grpc-js';
import type { Codec } from './codec.js';
import type { DiscoveryRequest, DiscoveryResponse } from './messages.js';

const SERVICE = 'envoy.service.discovery.v3.AggregatedDiscoveryService';
const REQUEST = 'envoy.service.discovery.v3.DiscoveryRequest';
const RESPONSE = 'envoy.service.discovery.v3.DiscoveryResponse';

export type AdsMethod = MethodDefinition<DiscoveryRequest, DiscoveryResponse>;

/** A grpc-js service definition: `server.addService(adsService(codec), { StreamAggregatedResources })`, or a client's method. */
export function adsService(codec: Codec): { readonly StreamAggregatedResources: AdsMethod } {
  return {
    StreamAggregatedResources: {
      path: `/${SERVICE}/StreamAggregatedResources`,
      requestStream: true,
      responseStream: true,
      requestSerialize: (request) => asBuffer(codec.encodeMessage(REQUEST, request)),
      requestDeserialize: (bytes) => codec.decodeMessage(REQUEST, bytes, { rawAny: true }) as DiscoveryRequest,
      responseSerialize: (response) => asBuffer(codec.encodeMessage(RESPONSE, response)),
      responseDeserialize: (bytes) => codec.decodeMessage(RESPONSE, bytes, { rawAny: true }) as DiscoveryResponse,
    },
  };
}

/** The same memory as the Buffer that grpc-js wants. */
function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
