import { type HeaderFields, headerValue } from './headers.js';
import {
  type BackendMetrics,
  emptyMetrics,
  MAX_METRICS,
  type MetricMap,
  type OwnMetric,
  setNamed,
  setOwn,
} from './orca-report.js';
import { readOrcaReport } from './orca-wire.js';

export type { BackendMetrics } from './orca-report.js';

/** "The metadata key will be endpoint-load-metrics-bin" - gRFC A51; base64 of the message. */
export const ORCA_TRAILER = 'endpoint-load-metrics-bin';
/** Envoy: `TEXT `, `JSON ` or `BIN ` and the report. */
export const ORCA_HEADER = 'endpoint-load-metrics';
/** Characters; a longer report is not read. */
const MAX_LENGTH = 32_768;

/** Names of the message's own metrics, as the text form and JSON have them, in both of JSON's spellings. */
const OWN: Readonly<Record<string, OwnMetric>> = {
  __proto__: null as never,
  cpu_utilization: 'cpuUtilization',
  cpuUtilization: 'cpuUtilization',
  mem_utilization: 'memUtilization',
  memUtilization: 'memUtilization',
  application_utilization: 'applicationUtilization',
  applicationUtilization: 'applicationUtilization',
  rps_fractional: 'rps',
  rpsFractional: 'rps',
  eps: 'eps',
};
const MAPS: Readonly<Record<string, MetricMap>> = {
  __proto__: null as never,
  utilization: 'utilization',
  request_cost: 'requestCost',
  requestCost: 'requestCost',
  named_metrics: 'namedMetrics',
  namedMetrics: 'namedMetrics',
};
const NAMED_PREFIX = 'named_metrics.';

/**
 * The report of a reply: from its trailers, or from its headers where there are no trailers (HTTP). Undefined when there is none, or one that is
 * malformed: a backend's mistake concerns nobody's call.
 */
export function backendMetrics(trailers: HeaderFields | undefined, headers: HeaderFields): BackendMetrics | undefined {
  return (trailers === undefined ? undefined : reportIn(trailers)) ?? reportIn(headers);
}

function reportIn(fields: HeaderFields): BackendMetrics | undefined {
  const binary = fields[ORCA_TRAILER];
  // Of several the first, as in Envoy.
  if (binary !== undefined) return fromBase64(typeof binary === 'string' ? binary : (binary[0] ?? ''));
  const tagged = headerValue(fields, ORCA_HEADER);
  if (tagged === undefined || tagged.length > MAX_LENGTH) return undefined;
  const space = tagged.indexOf(' ');
  const report = tagged.slice(space + 1);
  switch (tagged.slice(0, Math.max(0, space))) {
    case 'TEXT':
      return fromText(report);
    case 'JSON':
      return fromJson(report);
    case 'BIN':
      return fromBase64(report);
    default:
      return undefined;
  }
}

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

function fromBase64(text: string): BackendMetrics | undefined {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH || !BASE64.test(trimmed)) return undefined;
  return readOrcaReport(Buffer.from(trimmed, 'base64'));
}

const NUMBER = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** `cpu_utilization:0.3,named_metrics.queue:7`: names once each, known ones only, numbers. */
function fromText(text: string): BackendMetrics | undefined {
  const draft = emptyMetrics();
  const seen = new Set<string>();
  for (const part of text.split(',')) {
    const colon = part.indexOf(':');
    const name = part.slice(0, Math.max(0, colon)).trim();
    const value = part.slice(colon + 1).trim();
    if (seen.has(name) || seen.size === MAX_METRICS || !NUMBER.test(value)) return undefined;
    seen.add(name);
    const own = name.includes('_') || name === 'eps' ? OWN[name] : undefined;
    if (own !== undefined) setOwn(draft, own, Number(value));
    else if (name.startsWith(NAMED_PREFIX) && name.length > NAMED_PREFIX.length)
      setNamed(draft, 'namedMetrics', name.slice(NAMED_PREFIX.length), Number(value));
    else return undefined;
  }
  return draft;
}

/** Protobuf's JSON mapping; fields that are not known are left aside. */
function fromJson(text: string): BackendMetrics | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(json)) return undefined;
  const draft = emptyMetrics();
  let entries = 0;
  for (const [name, value] of Object.entries(json)) {
    const own = OWN[name];
    const map = MAPS[name];
    if (own !== undefined) {
      const number = jsonNumber(value);
      if (number === undefined) return undefined;
      setOwn(draft, own, number);
    } else if (map !== undefined && value !== null) {
      if (!isObject(value)) return undefined;
      for (const [key, item] of Object.entries(value)) {
        const number = item === null ? undefined : jsonNumber(item);
        if (number === undefined || ++entries > MAX_METRICS) return undefined;
        setNamed(draft, map, key, number);
      }
    }
  }
  return draft;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A double may be text: "NaN", "Infinity", or a number in quotes. Null stands for its default. */
function jsonNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (value === null) return 0;
  if (typeof value !== 'string') return undefined;
  if (NUMBER.test(value)) return Number(value);
  return value === 'NaN' || value === 'Infinity' || value === '-Infinity' ? Number.NaN : undefined;
}
