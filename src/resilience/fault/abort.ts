import type { Protocol } from '../../core/call.js';
import { grpcStatusOfHttp, httpStatusOfGrpc, percentEncoded } from '../../core/grpc-status.js';
import { headerFields } from '../../core/headers.js';
import { localReply, type Reply } from '../../core/reply.js';

/** What a request is answered with in place of being sent. */
export interface FaultStatus {
  readonly kind: 'http' | 'grpc';
  readonly status: number;
}

const TEXT = 'aborted on purpose (fault injection)';

/** "UNKNOWN" for numbers that gRPC does not define, as grpc-go has it. */
const UNKNOWN = 2;

/**
 * The status of a gRPC call. "If the filter config sets http_status to 200, gRPC will abort with gRPC status UNKNOWN", since that is the mapping of every
 * status that is not in the list (gRFC A33, grpc/doc/http-grpc-status-mapping.md).
 */
export const grpcAbortStatus = ({ kind, status }: FaultStatus): number => {
  if (kind === 'http') return grpcStatusOfHttp(status);
  return status > 16 ? UNKNOWN : status;
};

/** The status of an HTTP exchange: of a gRPC status what it means (google/rpc/code.proto), where Envoy would say 200. */
export const httpAbortStatus = ({ kind, status }: FaultStatus): number =>
  kind === 'http' ? status : httpStatusOfGrpc(status > 16 ? UNKNOWN : status);

/** The reply that takes the place of the service's: a status with a line of text, as Envoy's; over gRPC the status alone. */
export function abortReply(protocol: Protocol, abort: FaultStatus): Reply {
  if (protocol === 'grpc') {
    // "as if it has immediately received trailing metadata from the server" - gRFC A33, of OK as of the others
    const headers = headerFields({
      'content-type': 'application/grpc',
      'grpc-status': String(grpcAbortStatus(abort)),
      'grpc-message': percentEncoded(TEXT),
      'mesh-error': 'FI',
    });
    return localReply(200, headers);
  }
  const body = Buffer.from(`${TEXT}\n`);
  const headers = headerFields({
    'content-type': 'text/plain',
    'content-length': String(body.byteLength),
    'mesh-error': 'FI',
  });
  const status = httpAbortStatus(abort);
  if (status !== 204 && status !== 304) return localReply(status, headers, body);
  delete headers['content-length'];
  return localReply(status, headers);
}
