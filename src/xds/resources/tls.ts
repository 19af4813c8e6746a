import type { UpstreamTls } from '../../core/model/tls.js';
import { extension } from './any.js';
import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import { commonTls } from './tls-common.js';
import { sanMatches } from './tls-validation.js';

const RAW_BUFFER = 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer';
const UPSTREAM_TLS = 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
/** "max_bytes: 255" - tls.proto; gRFC A101: "if UpstreamTlsContext.sni exceeds 255 characters". */
const MAX_SNI = 255;

/**
 * `transport_socket` of a cluster: none or raw_buffer is plain text. What else there is that cannot be done is an error and never ignored: a call must not
 * leave with less protection than was configured.
 */
export function clusterTls(cluster: Message, context: DecoderContext): UpstreamTls | undefined {
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

/** `UpstreamTlsContext` by the rules of gRFC A29, A82 and A101. `allow_renegotiation` and `max_session_keys` are ignored there. */
function upstreamTls(tls: Message, context: DecoderContext): UpstreamTls {
  const sni = tls.text('sni');
  const length = Buffer.byteLength(sni);
  if (length > MAX_SNI) throw tls.error('sni', `must be at most ${MAX_SNI} characters long, has ${length} (gRFC A101)`);
  const { identity, roots, validation } = commonTls(tls.required('common_tls_context'), 'client', context);
  const sans = validation === undefined ? [] : sanMatches(validation);
  const maxVerifyDepth = validation?.uint32Value('max_verify_depth');
  const found: UpstreamTls = {
    sni: sni === '' ? undefined : sni,
    ...(tls.flag('auto_host_sni') && { sniFromHost: true }),
    ...(tls.flag('auto_sni_san_validation') && { verifySni: true }),
    identity,
    roots,
    sans,
    ...(maxVerifyDepth !== undefined && { maxVerifyDepth }),
  };
  return roots.kind === 'system' ? named(found, tls, validation) : found;
}

/**
 * With the system's roots any server in the world has a certificate that will do, unless there is a name for it: where no list has one it is the server name,
 * and there must be one. gRPC and Envoy would verify the chain alone.
 */
function named(found: UpstreamTls, tls: Message, validation: Message | undefined): UpstreamTls {
  // It says whom to trust less than the system does.
  if (validation?.has('trusted_ca') === true)
    throw validation.error('trusted_ca', 'is not supported with system_root_certs, and TLS settings are never ignored');
  if (found.sans.length > 0) return found;
  if (found.sni === undefined && found.sniFromHost !== true)
    throw tls.error('sni', 'must be set, or auto_host_sni: it is the name that the server is verified for');
  return { ...found, verifySni: true };
}
