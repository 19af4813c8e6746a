import { BYTES, FIXED64, fields, VARINT } from './wire-fields.js';
import { type BackendMetrics, emptyMetrics, MAX_METRICS, setNamed, setOwn } from './orca-report.js';

/*
 * Read field by field, as the request path does it: whoever only calls fetch does not load the protobuf codec for it. Field numbers of
 * xds/data/orca/v3/orca_load_report.proto.
 */
const OWN = new Map([
  [1, 'cpuUtilization'],
  [2, 'memUtilization'],
  [6, 'rps'],
  [7, 'eps'],
  [9, 'applicationUtilization'],
] as const);
const MAPS = new Map([
  [4, 'requestCost'],
  [5, 'utilization'],
  [8, 'namedMetrics'],
] as const);
/** `rps`, a whole number; deprecated, and used where `rps_fractional` is not set. */
const WHOLE_RPS = 3;

/** Undefined when it is malformed, or holds too much. Fields that are not known are passed over, as protobuf has it. */
export function readOrcaReport(bytes: Uint8Array): BackendMetrics | undefined {
  const draft = emptyMetrics();
  let entries = 0;
  let wholeRps = 0;
  const sound = fields(bytes, (number, value) => {
    const own = OWN.get(number as 1);
    const map = MAPS.get(number as 4);
    if (own !== undefined) {
      if (value.kind !== FIXED64) return false;
      setOwn(draft, own, value.double);
    } else if (map !== undefined) {
      const entry = value.kind === BYTES ? mapEntry(value.bytes) : undefined;
      if (entry === undefined || ++entries > MAX_METRICS) return false;
      setNamed(draft, map, entry.key, entry.value);
    } else if (number === WHOLE_RPS) {
      if (value.kind !== VARINT) return false;
      wholeRps = value.varint;
    }
    return true;
  });
  if (!sound) return undefined;
  if (draft.rps === 0) draft.rps = wholeRps;
  return draft;
}

function mapEntry(bytes: Uint8Array): { readonly key: string; readonly value: number } | undefined {
  let key: string | undefined = '';
  let number = 0;
  const sound = fields(bytes, (field, value) => {
    if (field === 1) {
      key = value.kind === BYTES ? utf8(value.bytes) : undefined;
      return key !== undefined;
    }
    if (field === 2) {
      if (value.kind !== FIXED64) return false;
      number = value.double;
    }
    return true;
  });
  return sound && key !== undefined ? { key, value: number } : undefined;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
