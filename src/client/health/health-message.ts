import { fields, VARINT } from '../../core/wire-fields.js';
import { textField } from '../../core/wire-write.js';

/*
 * grpc.health.v1, whose two messages have one field each: read and written here, so that nobody loads a protobuf codec for them.
 */

/** `HealthCheckResponse.ServingStatus`. */
export const SERVING = 1;
const STATUS_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'] as const;

export const servingStatusName = (status: number): string => STATUS_NAMES[status] ?? `status ${status}`;

/** `HealthCheckRequest { string service = 1; }`; an empty name is the server as a whole, and is not written. */
export const encodeHealthRequest = (service: string): Uint8Array => textField(1, service);

/** `HealthCheckResponse { ServingStatus status = 1; }`: the status, 0 when it is not there; undefined when the bytes are no message. */
export function decodeHealthResponse(bytes: Uint8Array): number | undefined {
  let status = 0;
  const sound = fields(bytes, (field, value) => {
    if (field !== 1) return true;
    if (value.kind !== VARINT) return false;
    status = value.varint;
    return true;
  });
  return sound ? status : undefined;
}
