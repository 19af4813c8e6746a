import type { DownstreamTls } from '../../core/model/tls.js';
import type { DecoderContext } from './context.js';
import type { Message } from './message.js';
import { extension } from './any.js';
import { commonTls } from './tls-common.js';

const TLS_SOCKET = 'envoy.transport_sockets.tls';
const DOWNSTREAM_TLS = 'envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

/**
 * `transport_socket` of a server's filter chain by the rules of gRFC A29. `session_ticket_keys`, `session_timeout` and what else is about
 * resuming sessions is ignored there.
 */
export function downstreamTls(socket: Message, context: DecoderContext): DownstreamTls {
  // gRFC A29: "if a transport_socket name is not envoy.transport_sockets.tls i.e. something we don't recognize, gRPC will NACK"
  const name = socket.text('name');
  if (name !== TLS_SOCKET) throw socket.error('name', `must be "${TLS_SOCKET}", got "${name.slice(0, 80)}" (gRFC A29)`);
  const tls = socket.required('typed_config');
  const { kind, type } = extension(tls);
  if (kind !== 'message' || type !== DOWNSTREAM_TLS)
    throw socket.error('typed_config', `must be ${DOWNSTREAM_TLS}, got "${type}"`);
  // gRFC A29: to ignore it would make the implementation "less secure than what the control plane intended"
  if (tls.boolValue('require_sni') === true) throw tls.error('require_sni', 'must be false or not set (gRFC A29)');
  // gRFC A29: "we NACK any value other than LENIENT_STAPLING"
  tls.choice('ocsp_staple_policy', ['LENIENT_STAPLING']);
  const { identity, roots } = commonTls(tls.required('common_tls_context'), 'server', context);
  // gRFC A29: "if require_client_certificate is true, and if no CertificateValidationContext is provided, gRPC will NACK"
  const requireClientCertificate = tls.boolValue('require_client_certificate') === true;
  if (requireClientCertificate && roots === undefined) {
    throw tls.error(
      'require_client_certificate',
      'must not be true without a validation context, which says how to verify it (gRFC A29)',
    );
  }
  return { identity, roots, requireClientCertificate };
}
