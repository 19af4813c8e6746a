import { constants } from 'node:http2';
import type { MeshError } from '../../../core/errors.js';
import { StreamRefusedError, StreamResetError } from '../errors.js';

/** RFC 9113 section 7, by number. */
const NAMES = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const;

export const errorCodeName = (code: number): string => NAMES[code] ?? `error code ${code}`;

/** gRPC status for the code of a RST_STREAM (grpc/doc/PROTOCOL-HTTP2.md, "Errors"). What is not listed there is INTERNAL. */
function grpcStatusOfReset(code: number): number {
  switch (code) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return 14; // UNAVAILABLE: "the operation was not started"
    case constants.NGHTTP2_CANCEL:
      return 1; // CANCELLED
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return 8; // RESOURCE_EXHAUSTED
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return 7; // PERMISSION_DENIED
    default:
      return 13;
  }
}

/** The error for a stream that the server reset. It had seen the stream, except when it says that it refused it. */
export function resetError(endpoint: string, code: number, cause: Error | undefined): MeshError {
  const options = cause === undefined ? {} : { cause };
  if (code === constants.NGHTTP2_REFUSED_STREAM) return new StreamRefusedError(endpoint, errorCodeName(code), options);
  const detail =
    code === constants.NGHTTP2_ENHANCE_YOUR_CALM
      ? 'ENHANCE_YOUR_CALM, bandwidth or memory limit exceeded'
      : code === constants.NGHTTP2_NO_ERROR
        ? 'NO_ERROR before the reply was complete'
        : errorCodeName(code);
  return new StreamResetError(endpoint, detail, 'yes', {
    ...options,
    resetCode: code,
    grpcStatus: grpcStatusOfReset(code),
  });
}

/** nghttp2 found the peer in the wrong (ERR_HTTP2_ERROR); anything else is the network or an orderly end. */
export function isProtocolError(error: Error | undefined): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ERR_HTTP2_ERROR';
}
