/*
 * grpc.health.v1, whose two messages have one field each: read and written here, so that nobody loads a protobuf codec for them.
 */

/** `HealthCheckResponse.ServingStatus`. */
export const SERVING = 1;
const STATUS_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

export const servingStatusName = (status: number): string => STATUS_NAMES[status] ?? `status ${status}`;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** `HealthCheckRequest { string service = 1; }`; an empty name is the server as a whole, and is not written. */
export function encodeHealthRequest(service: string): Uint8Array {
  const name = Buffer.from(service, 'utf8');
  if (name.byteLength === 0) return new Uint8Array(0);
  const length: number[] = [];
  for (let left = name.byteLength; ; left = Math.floor(left / 128)) {
    if (left < 128) {
      length.push(left);
      break;
    }
    length.push((left % 128) + 128);
  }
  return Buffer.concat([Uint8Array.of(8 + BYTES, ...length), name]);
}

/** `HealthCheckResponse { ServingStatus status = 1; }`: the status, 0 when it is not there; undefined when the bytes are no message. */
export function decodeHealthResponse(bytes: Uint8Array): number | undefined {
  let status = 0;
  let at = 0;
  /** -1: there is none. */
  const varint = (): number => {
    let value = 0;
    for (let i = 0; i < 10; i++) {
      const byte = bytes[at++];
      if (byte === undefined) return -1;
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (at < bytes.byteLength) {
    const tag = varint();
    const field = Math.floor(tag / 8);
    if (tag < 8) return undefined;
    const kind = tag % 8;
    if (field === 1 && kind !== VARINT) return undefined;
    if (kind === VARINT) {
      const value = varint();
      if (value < 0) return undefined;
      if (field === 1) status = value;
    } else {
      const size = kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : kind === BYTES ? varint() : -1;
      if (size < 0 || at + size > bytes.byteLength) return undefined;
      at += size;
    }
  }
  return status;
}
