import { isIP } from 'node:net';
import { DEFAULT_PROVIDER } from '../../core/identity.js';
import type { Resource } from '../../core/resources.js';
import { any, wrapped } from './proto.js';

const TLS = 'envoy.extensions.transport_sockets.tls.v3';
const SOCKET = 'envoy.transport_sockets.tls';
const INSTANCE: Resource = { instance_name: DEFAULT_PROVIDER };

/** What callers do before they send anything to a Service. */
export interface UpstreamSpec {
  /** Under the mesh's identity, verified by its trust; else by the roots of the system, showing none. */
  readonly mutual: boolean;
  /** Undefined: none is sent, unless `sniFromHost`. */
  readonly sni?: string | undefined;
  /** The name of each endpoint is the one that is sent and verified (gRFC A101). */
  readonly sniFromHost?: boolean;
  /** Of which the certificate must have one. */
  readonly names: readonly string[];
}

/** `transport_socket` of a cluster. Envoy verifies the chain only, unless it is told the names that the certificate must have. */
export function upstreamTls({ mutual, sni, sniFromHost, names }: UpstreamSpec): Resource {
  const typed = names.map((name) => ({ san_type: sanType(name), matcher: { exact: name } }));
  const validation: Resource = {
    ...(mutual ? { ca_certificate_provider_instance: INSTANCE } : { system_root_certs: {} }),
    ...(typed.length > 0 && { match_typed_subject_alt_names: typed }),
    // The only list that gRPC reads (gRFC A29); without it any workload of the mesh could answer. Envoy takes the other one.
    ...(mutual && typed.length > 0 && { match_subject_alt_names: names.map((name) => ({ exact: name })) }),
  };
  const context = any(`${TLS}.UpstreamTlsContext`, {
    ...(sni !== undefined && { sni }),
    ...(sniFromHost === true && { auto_host_sni: true, auto_sni_san_validation: true }),
    common_tls_context: {
      ...(mutual && { tls_certificate_provider_instance: INSTANCE }),
      validation_context: validation,
    },
  });
  return { transport_socket: { name: SOCKET, typed_config: context } };
}

/** `transport_socket` of a server's chain under the mesh's identity: callers show a certificate that its trust vouches for (gRFC A29). */
export function downstreamTls(): Resource {
  const context = any(`${TLS}.DownstreamTlsContext`, {
    require_client_certificate: wrapped(true),
    common_tls_context: {
      tls_certificate_provider_instance: INSTANCE,
      validation_context: { ca_certificate_provider_instance: INSTANCE },
    },
  });
  return { transport_socket: { name: SOCKET, typed_config: context } };
}

const sanType = (name: string): string => (name.includes('://') ? 'URI' : isIP(name) === 0 ? 'DNS' : 'IP_ADDRESS');
