import { type BackendMetrics, emptyMetrics, MAX_METRICS, setNamed, setOwn } from './orca-report.js';

/*
 * The one message that the request path reads, field by field: whoever only calls fetch does not load the protobuf codec for it. Field numbers of
 * xds/data/orca/v3/orca_load_report.proto.
 */
const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

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

type Value =
  | { readonly kind: typeof VARINT; readonly varint: number }
  | { readonly kind: typeof FIXED64; readonly double: number }
  | { readonly kind: typeof BYTES; readonly bytes: Uint8Array }
  | { readonly kind: typeof FIXED32 };

/** Visits each field. False when the bytes are no message, or the visitor does not want to go on. */
function fields(bytes: Uint8Array, visit: (field: number, value: Value) => boolean): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
    const kind = tag % 8;
    const field = Math.floor(tag / 8);
    if (tag < 8 || field > 0x1fffffff) return false;
    let value: Value;
    if (kind === VARINT) {
      const number = varint();
      if (number < 0) return false;
      value = { kind, varint: number };
    } else if (kind === FIXED64) {
      if (at + 8 > bytes.byteLength) return false;
      value = { kind, double: view.getFloat64(at, true) };
      at += 8;
    } else if (kind === BYTES) {
      const length = varint();
      if (length < 0 || at + length > bytes.byteLength) return false;
      value = { kind, bytes: bytes.subarray(at, at + length) };
      at += length;
    } else if (kind === FIXED32) {
      if (at + 4 > bytes.byteLength) return false;
      value = { kind };
      at += 4;
    } else return false;
    if (!visit(field, value)) return false;
  }
  return true;
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function utf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}
