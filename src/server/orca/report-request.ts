/** Wire types of protobuf, and the fields of `OrcaLoadReportRequest` and `google.protobuf.Duration` that are read. */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;
const REPORT_INTERVAL = 1;
const SECONDS = 1;
const NANOS = 2;

/**
 * `OrcaLoadReportRequest.report_interval` in milliseconds, 0 when there is none; undefined when the bytes are no such message. Read here, so that a server
 * loads no protobuf codec for one number. `request_cost_names` is not read: what is reported out of band has no costs of requests.
 */
export function reportIntervalMs(request: Uint8Array): number | undefined {
  let ms: number | undefined = 0;
  const sound = fields(request, (field, _value, message) => {
    if (field !== REPORT_INTERVAL) return true;
    ms = message === undefined ? undefined : durationMs(message);
    return ms !== undefined;
  });
  return sound ? ms : undefined;
}

function durationMs(message: Uint8Array): number | undefined {
  let ms = 0;
  const sound = fields(message, (field, value) => {
    if (field !== SECONDS && field !== NANOS) return true;
    if (value === undefined) return false;
    ms += Number(BigInt.asIntN(64, value)) * (field === SECONDS ? 1_000 : 1e-6);
    return true;
  });
  return sound ? ms : undefined;
}

type Visit = (field: number, varint: bigint | undefined, bytes: Uint8Array | undefined) => boolean;

/** Visits each field; false when the bytes are no message, or the visitor does not want to go on. */
function fields(message: Uint8Array, visit: Visit): boolean {
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let i = 0n; i < 10n; i++) {
      const byte = message[at++];
      if (byte === undefined) return undefined;
      value |= BigInt(byte & 0x7f) << (7n * i);
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < message.byteLength) {
    const tag = varint();
    if (tag === undefined || tag < 8n || tag > 0xffff_ffffn) return false;
    const field = Number(tag >> 3n);
    const kind = Number(tag & 7n);
    let value: bigint | undefined;
    let bytes: Uint8Array | undefined;
    if (kind === VARINT) {
      value = varint();
      if (value === undefined) return false;
    } else {
      const length = kind === FIXED64 ? 8 : kind === FIXED32 ? 4 : kind === BYTES ? Number(varint() ?? -1n) : -1;
      if (length < 0 || at + length > message.byteLength) return false;
      if (kind === BYTES) bytes = message.subarray(at, at + length);
      at += length;
    }
    if (!visit(field, value, bytes)) return false;
  }
  return true;
}
