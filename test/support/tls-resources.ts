import type { Resource } from '../../src/core/resources.js';
import { any } from './xds-resources.js';

/** Valid TLS contexts in their plain shape, to be varied by tests. */

const TLS = 'envoy.extensions.transport_sockets.tls.v3';

export const upstreamTls = (fields: Resource): Resource => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${TLS}.UpstreamTlsContext`, fields),
});

export const downstreamTls = (fields: Resource): Resource => ({
  name: 'envoy.transport_sockets.tls',
  typed_config: any(`${TLS}.DownstreamTlsContext`, fields),
});

export const instance = (instance_name: string): Resource => ({ instance_name, certificate_name: 'any' });
