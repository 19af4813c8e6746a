const VARINT = 0;
const BYTES = 2;
/** Fields of `OrcaLoadReportRequest` and of `google.protobuf.Duration`. */
const REPORT_INTERVAL = 1;
const SECONDS = 1;
const NANOS = 2;

/** `xds.service.orca.v3.OrcaLoadReportRequest { Duration report_interval = 1; }`, all costs asked for. */
export function encodeReportRequest(intervalMs: number): Uint8Array {
  const seconds = Math.floor(intervalMs / 1_000);
  const nanos = Math.round((intervalMs - seconds * 1_000) * 1e6);
  const duration = [...field(SECONDS, seconds), ...field(NANOS, nanos)];
  return Uint8Array.of(REPORT_INTERVAL * 8 + BYTES, duration.length, ...duration);
}

/** 0 is not written. */
function field(number: number, value: number): number[] {
  if (value === 0) return [];
  const out = [number * 8 + VARINT];
  let left = value;
  for (; left >= 128; left = Math.floor(left / 128)) out.push((left % 128) + 128);
  out.push(left);
  return out;
}
