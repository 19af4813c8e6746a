import type { UpstreamTls } from '../../core/model/tls.js';
import { extension } from './any.js';
import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import { commonTls } from './tls-common.js';
import { requireSystemRootsOnly } from './tls-origination.js';
import { providersUnsupported } from './tls-providers.js';

const RAW_BUFFER = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
const UPSTREAM_TLS = 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
/** "max_bytes: 255" - tls.proto; gRFC A101: "if UpstreamTlsContext.sni exceeds 255 characters". */
const MAX_SNI = 255;

/**
 * `transport_socket` of a cluster: none or raw_buffer is plain text; an UpstreamTlsContext with `sni` and the system's roots is TLS to
 * a server outside the mesh. Whatever else it asks for is an error and never ignored: a call must not leave with less protection
 * than was configured.
 */
export function tlsOrigination(cluster: Message, context: DecoderContext): UpstreamTls | undefined {
  // gRFC A29: "we don't (currently) support transport_socket_matches"; to ignore them would be to ignore what they protect.
  if (cluster.messages('transport_socket_matches').length > 0) {
    throw cluster.error('transport_socket_matches', 'is not supported (gRFC A29 refuses it too); use transport_socket');
  }
  const socket = cluster.message('transport_socket');
  if (socket === undefined) return undefined;
  const config = socket.required('typed_config');
  const { kind, type } = extension(config);
  if (type === RAW_BUFFER) return undefined;
  if (kind !== 'message' || type !== UPSTREAM_TLS)
    throw socket.error('typed_config', `must be ${UPSTREAM_TLS} or ${RAW_BUFFER}, got "${type}"`);
  return upstreamTls(config, context);
}

/** `UpstreamTlsContext` by the rules of gRFC A29 and A101. `allow_renegotiation` and `max_session_keys` are ignored there. */
function upstreamTls(tls: Message, context: DecoderContext): UpstreamTls {
  const sni = tls.text('sni');
  const length = Buffer.byteLength(sni);
  if (length > MAX_SNI) throw tls.error('sni', `must be at most ${MAX_SNI} characters long, has ${length} (gRFC A101)`);
  const common = commonTls(tls.required('common_tls_context'), 'client', context);
  if (common.identity !== undefined || common.roots?.kind !== 'system') throw providersUnsupported(tls);
  return requireSystemRootsOnly(tls, common.validation);
}
