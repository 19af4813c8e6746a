import { BytesBody } from '../../core/body.js';
import { type HeaderFields, headerFields } from '../../core/headers.js';
import { localReply, type Reply } from '../../core/reply.js';

/** One byte of flags and four of length before each message (grpc/doc/PROTOCOL-HTTP2.md, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;

/** A unary reply: the message when the status is OK, else the status alone, in the head ("Trailers-Only", PROTOCOL-HTTP2.md). */
export function grpcReply(status: number, message: Uint8Array, metadata: HeaderFields, details = ''): Reply {
  const headers: HeaderFields = headerFields({ ...metadata, 'content-type': 'application/grpc' });
  delete headers['content-length'];
  if (status !== 0) {
    headers['grpc-status'] = String(status);
    if (details !== '') headers['grpc-message'] = encodeURIComponent(details);
    return localReply(200, headers);
  }
  const frame = Buffer.alloc(PREFIX_BYTES + message.byteLength);
  frame.writeUInt32BE(message.byteLength, 1);
  frame.set(message, PREFIX_BYTES);
  return replyOf(200, headers, frame, headerFields({ 'grpc-status': '0' }));
}

/** A reply that is all there, with trailers. */
export function replyOf(
  status: number,
  headers: HeaderFields,
  bytes: Uint8Array,
  trailers: HeaderFields | undefined,
): Reply {
  const end = { error: undefined, trailers, bytesSent: 0, bytesReceived: 0 };
  return { status, headers, body: new BytesBody(bytes, trailers), onEnd: (listener) => listener(end) };
}

/** The message of a request that is one whole frame, and not compressed. */
export function messageOf(frame: Uint8Array): Uint8Array | undefined {
  if (frame.byteLength < PREFIX_BYTES || frame[0] !== 0) return undefined;
  const length = new DataView(frame.buffer, frame.byteOffset).getUint32(1);
  return length === frame.byteLength - PREFIX_BYTES ? frame.subarray(PREFIX_BYTES) : undefined;
}
