import type { Instrument } from './catalogue.js';
import type { MetricFamily, Point } from './collect.js';
import type { ExplicitHistogram } from './histogram.js';
import type { Labels } from './series.js';

/** `prometheus` is text format 0.0.4; `openmetrics` is OpenMetrics 1.0. */
export type TextFormat = 'prometheus' | 'openmetrics';

/** The value of the `Content-Type` header for each format. */
export const CONTENT_TYPES: Readonly<Record<TextFormat, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

/**
 * All metrics as text for a scraper. Names are translated as OpenTelemetry's Prometheus compatibility rules say: dots become
 * underscores, the unit is a suffix, counters end in `_total`.
 */
export function prometheusText(families: readonly MetricFamily[], format: TextFormat = 'prometheus'): string {
  const lines: string[] = [];
  for (const family of families) {
    const base = baseName(family.instrument);
    const sample = family.instrument.kind === 'counter' ? `${base}_total` : base;
    // OpenMetrics names the family without the suffix, the older format with it.
    const named = format === 'openmetrics' ? base : sample;
    lines.push(`# TYPE ${named} ${family.instrument.kind}`);
    const unit = UNIT_SUFFIXES[family.instrument.unit];
    if (format === 'openmetrics' && unit !== undefined) lines.push(`# UNIT ${named} ${unit}`);
    lines.push(`# HELP ${named} ${escapedHelp(family.instrument.description)}`);
    if (family.kind === 'histogram') for (const point of family.points) histogramLines(lines, base, point);
    else for (const { labels, value } of family.points) lines.push(`${sample}${labelText(labels)} ${value}`);
  }
  if (format === 'openmetrics') lines.push('# EOF');
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

/** Units that Prometheus spells out; UCUM annotations such as `{call}` and the unit `1` have no suffix. */
const UNIT_SUFFIXES: Readonly<Record<string, string>> = { s: 'seconds', By: 'bytes' };

function baseName({ name, unit }: Instrument): string {
  const base = sanitized(name);
  const suffix = UNIT_SUFFIXES[unit];
  return suffix === undefined || base.endsWith(`_${suffix}`) ? base : `${base}_${suffix}`;
}

function sanitized(name: string): string {
  const text = name.replace(/[^a-zA-Z0-9_]/g, '_');
  return /^[0-9]/.test(text) ? `_${text}` : text;
}

function histogramLines(lines: string[], name: string, { labels, value }: Point<ExplicitHistogram>): void {
  let cumulative = 0;
  for (let i = 0; i <= value.bounds.length; i++) {
    cumulative += value.counts[i] as number;
    const bound = value.bounds[i];
    lines.push(`${name}_bucket${labelText(labels, bound === undefined ? '+Inf' : boundText(bound))} ${cumulative}`);
  }
  lines.push(`${name}_sum${labelText(labels)} ${value.sum}`);
  lines.push(`${name}_count${labelText(labels)} ${value.count}`);
}

/** "le … MUST be a canonical float": `1.0`, not `1` - OpenMetrics 1.0; Prometheus takes both. */
const boundText = (bound: number): string => (Number.isInteger(bound) ? `${bound}.0` : String(bound));

function labelText(labels: Labels, le?: string): string {
  const parts: string[] = [];
  for (const name of Object.keys(labels)) parts.push(`${sanitized(name)}="${escapedLabel(String(labels[name]))}"`);
  if (le !== undefined) parts.push(`le="${le}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

const escapedLabel = (text: string): string => text.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
const escapedHelp = (text: string): string => text.replace(/[\\\n]/g, (c) => (c === '\n' ? '\\n' : '\\\\'));
