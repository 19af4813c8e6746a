import type { BackendMetrics, MetricMap, OwnMetric } from './orca-report.js';
import { bytesField, doubleField, textField } from './wire-write.js';

/** The three forms that Envoy reads in `endpoint-load-metrics`: `TEXT `, `JSON ` or `BIN ` and the report. */
export type OrcaFormat = 'text' | 'json' | 'bin';

/** Names and field numbers of xds/data/orca/v3/orca_load_report.proto. */
const OWN: readonly (readonly [OwnMetric, string, number])[] = [
  ['cpuUtilization', 'cpu_utilization', 1],
  ['memUtilization', 'mem_utilization', 2],
  ['rps', 'rps_fractional', 6],
  ['eps', 'eps', 7],
  ['applicationUtilization', 'application_utilization', 9],
];
const MAPS: readonly (readonly [MetricMap, string, number])[] = [
  ['requestCost', 'request_cost', 4],
  ['utilization', 'utilization', 5],
  ['namedMetrics', 'named_metrics', 8],
];

/** The report as `xds.data.orca.v3.OrcaLoadReport`. */
export function encodeOrcaReport(report: BackendMetrics): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, , field] of OWN) if (report[name] !== 0) parts.push(doubleField(field, report[name]));
  for (const [name, , field] of MAPS) {
    const map = report[name];
    for (const key of Object.keys(map)) {
      const entry = Buffer.concat([textField(1, key), doubleField(2, map[key] as number)]);
      parts.push(bytesField(field, entry));
    }
  }
  return Buffer.concat(parts);
}

/** The report as the value of a header field: visible ASCII, whatever the names of its metrics. */
export function orcaHeader(report: BackendMetrics, format: OrcaFormat): string {
  switch (format) {
    case 'text':
      return `TEXT ${text(report)}`;
    case 'json':
      return `JSON ${json(report)}`;
    case 'bin':
      return `BIN ${encodeOrcaReport(report).toString('base64')}`;
  }
}

/** What ends a name in the text form, or cannot stand in a header field. */
const UNSPEAKABLE = /[^\x21-\x7e]|[,:]/;

/** `cpu_utilization:0.3,named_metrics.queue:7`. The form has no words for `utilization` and `request_cost`: they are left out. */
function text(report: BackendMetrics): string {
  const parts: string[] = [];
  for (const [name, field] of OWN) if (report[name] !== 0) parts.push(`${field}:${report[name]}`);
  const { namedMetrics } = report;
  for (const key of Object.keys(namedMetrics)) {
    if (key !== '' && !UNSPEAKABLE.test(key)) parts.push(`named_metrics.${key}:${namedMetrics[key]}`);
  }
  // An empty list is no report.
  return parts.length === 0 ? 'cpu_utilization:0' : parts.join(',');
}

/** Protobuf's JSON mapping, with the fields' own names. */
function json(report: BackendMetrics): string {
  const message: Record<string, unknown> = {};
  for (const [name, field] of OWN) if (report[name] !== 0) message[field] = report[name];
  for (const [name, field] of MAPS) if (Object.keys(report[name]).length > 0) message[field] = report[name];
  return JSON.stringify(message).replace(/[^\x20-\x7e]/g, escaped);
}

const escaped = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
