import { bytesField, wholeField } from '../../core/wire-write.js';

/** `xds.service.orca.v3.OrcaLoadReportRequest { Duration report_interval = 1; }`, all costs asked for. */
export function encodeReportRequest(intervalMs: number): Uint8Array {
  const seconds = Math.floor(intervalMs / 1_000);
  const nanos = Math.round((intervalMs - seconds * 1_000) * 1e6);
  return bytesField(1, Buffer.concat([wholeField(1, seconds), wholeField(2, nanos)]));
}
