import json from '../../../src/xds/gen/descriptor.json' with { type: 'json' };
import { type DescriptorNode, type MessageSchema, Schema } from '../../../src/xds/wire/schema.js';

/** The generated descriptor, parsed: for protobufjs, to compare with. */
export const descriptor: object = structuredClone(json);
export const schema = new Schema(json as unknown as DescriptorNode);

export function messageType(fullName: string): MessageSchema {
  const type = schema.message(fullName);
  if (type === undefined) throw new Error(`${fullName} is not in the descriptor: run npm run gen`);
  return type;
}

/** The four resource types, and all that their extension points may hold. */
export const RESOURCE_MESSAGES = [
  'envoy.config.listener.v3.Listener',
  'envoy.config.route.v3.RouteConfiguration',
  'envoy.config.cluster.v3.Cluster',
  'envoy.config.endpoint.v3.ClusterLoadAssignment',
].map(messageType);

export const EXTENSION_MESSAGES = [
  'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
  'envoy.extensions.filters.http.router.v3.Router',
  'envoy.extensions.filters.http.fault.v3.HTTPFault',
  'envoy.extensions.filters.http.rbac.v3.RBAC',
  'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
  'envoy.extensions.load_balancing_policies.wrr_locality.v3.WrrLocality',
  'xds.type.v3.TypedStruct',
  'google.protobuf.StringValue',
  'google.protobuf.Struct',
].map(messageType);
