import type { TlsOrigination } from '../../core/model/cluster.js';
import { extension } from './any.js';
import type { Message } from './message.js';

const RAW_BUFFER = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
const UPSTREAM_TLS = 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
/** Fields that may be set: they say what is done anyway, or only tune the handshake. All others are refused. */
const CONTEXT_FIELDS = ['@type', 'common_tls_context', 'sni', 'max_session_keys', 'auto_sni_san_validation'];
const COMMON_FIELDS = ['validation_context', 'alpn_protocols'];
const VALIDATION_FIELDS = ['system_root_certs', 'match_typed_subject_alt_names'];
/** gRFC A101: the length of a DNS name. */
const MAX_SNI = 255;

/**
 * `transport_socket` of a cluster: none or raw_buffer is plain text; an UpstreamTlsContext with `sni` and the system's roots is TLS to
 * a server outside the mesh. Whatever else it asks for is an error and never ignored: a call must not leave with less protection
 * than was configured.
 */
export function tlsOrigination(cluster: Message): TlsOrigination | undefined {
  if (cluster.messages('transport_socket_matches').length > 0) {
    throw cluster.error('transport_socket_matches', 'is not supported (gRFC A29 refuses it too); use transport_socket');
  }
  const socket = cluster.message('transport_socket');
  if (socket === undefined) return undefined;
  const config = socket.required('typed_config');
  const { type } = extension(config);
  if (type === RAW_BUFFER) return undefined;
  if (type !== UPSTREAM_TLS)
    throw socket.error('typed_config', `must be ${UPSTREAM_TLS} or ${RAW_BUFFER}, got "${type}"`);
  return upstreamTls(config);
}

function upstreamTls(context: Message): TlsOrigination {
  onlyFields(context, CONTEXT_FIELDS);
  const sni = context.requiredText('sni');
  if (sni.length > MAX_SNI)
    throw context.error('sni', `must be at most ${MAX_SNI} characters long, has ${sni.length} (gRFC A101)`);
  const common = context.required('common_tls_context');
  onlyFields(common, COMMON_FIELDS);
  const validation = common.required('validation_context');
  onlyFields(validation, VALIDATION_FIELDS);
  validation.required('system_root_certs');
  requireSniAccepted(validation, sni);
  return { sni };
}

/** The name that we verify is `sni`. A list that has it allows no less than that; one that lacks it asks for another name. */
function requireSniAccepted(validation: Message, sni: string): void {
  const field = 'match_typed_subject_alt_names';
  const matchers = validation.messages(field);
  if (matchers.length === 0) return;
  const accepted = matchers.some((entry) => {
    const type = entry.choice('san_type', ['SAN_TYPE_UNSPECIFIED', 'EMAIL', 'DNS', 'URI', 'IP_ADDRESS', 'OTHER_NAME']);
    return type === 'DNS' && entry.required('matcher').text('exact').toLowerCase() === sni.toLowerCase();
  });
  if (!accepted)
    throw validation.error(
      field,
      `must have the exact DNS name "${sni}" (sni), the only one that is verified by this version`,
    );
}

function onlyFields(message: Message, known: readonly string[]): void {
  const unknown = message.names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw message.error(unknown, 'is not supported by this version, and TLS settings are never ignored');
}
