import type { ExplicitHistogram } from './histogram.js';
import type { CounterSeries, HistogramSeries } from './families.js';
import type { Registry } from './registry.js';
import type { Labels } from './series.js';
import {
  ACCESS_LOG_DROPPED,
  ATTEMPTS,
  BREAKER_MOVES,
  BUDGET_SPENT,
  CALL_DURATION,
  CALL_IO,
  CIRCUIT_REJECTIONS,
  CONFIG_CHANGES,
  CONFIG_REJECTED,
  ERRORS,
  EXPERIMENTS_STOPPED,
  EXPIRED,
  SHED,
  FALLBACKS,
  FAULTS,
  HEDGES,
  HTTP_REQUEST_DURATION,
  type Instrument,
  LIMIT_QUEUED,
  AUTHZ_ALLOW,
  AUTHN_REFUSED,
  AUTHZ_DENY,
  LIMIT_REFUSED,
  LIMIT_STORE_MOVES,
  MIRRORS,
  OVERFLOW,
  QUOTA_USED,
  TLS_REFUSED,
  RECORDED,
  RETRIES,
  RPC_CALL_DURATION,
  SERIES,
  XDS_CONNECTED,
  XDS_NACKS,
  XDS_UPDATES,
} from './catalogue.js';

export interface Point<V> {
  readonly labels: Labels;
  /** Wall time in milliseconds when counting began. */
  readonly startedAt: number;
  readonly value: V;
}

/** One metric with all its values, as exporters want it. */
export type MetricFamily =
  | { readonly instrument: Instrument; readonly kind: 'number'; readonly points: readonly Point<number>[] }
  | {
      readonly instrument: Instrument;
      readonly kind: 'histogram';
      readonly points: readonly Point<ExplicitHistogram>[];
    };

/** Reads everything once. Families without a value are left out. */
export function collect(registry: Registry, accessLogDropped: number): MetricFamily[] {
  const { startedAt, pool } = registry;
  const alone = (value: number): Point<number>[] => [{ labels: {}, startedAt, value }];
  const families: MetricFamily[] = [
    histograms(HTTP_REQUEST_DURATION, registry.httpAttempts),
    histograms(RPC_CALL_DURATION, registry.rpcCalls),
    callDurations(registry),
    callBytes(registry),
    counters(ATTEMPTS, registry.attempts),
    counters(ERRORS, registry.errors),
    counters(RETRIES, registry.retries),
    counters(BUDGET_SPENT, registry.budgetSpent),
    counters(CIRCUIT_REJECTIONS, registry.circuitRejections),
    counters(HEDGES, registry.hedges),
    counters(MIRRORS, registry.mirrors),
    counters(FALLBACKS, registry.fallbacks),
    counters(BREAKER_MOVES, registry.breakerMoves),
    counters(EXPIRED, registry.expired),
    counters(SHED, registry.shed),
    counters(FAULTS, registry.faults),
    counters(EXPERIMENTS_STOPPED, registry.experimentsStopped),
    counters(LIMIT_REFUSED, registry.limitRefused),
    counters(LIMIT_QUEUED, registry.limitQueued),
    counters(LIMIT_STORE_MOVES, registry.limitStoreMoves),
    counters(QUOTA_USED, registry.quotaUsed),
    counters(AUTHZ_ALLOW, registry.authzAllow),
    counters(AUTHZ_DENY, registry.authzDeny),
    counters(AUTHN_REFUSED, registry.authnRefused),
    counters(TLS_REFUSED, registry.tlsRefused),
    counters(XDS_UPDATES, registry.xdsUpdates),
    counters(XDS_NACKS, registry.xdsNacks),
    { instrument: XDS_CONNECTED, kind: 'number', points: connections(registry) },
    counters(CONFIG_CHANGES, registry.configChanges),
    counters(CONFIG_REJECTED, registry.configRejected),
    { instrument: SERIES, kind: 'number', points: alone(pool.size) },
    { instrument: OVERFLOW, kind: 'number', points: alone(pool.overflowed) },
    { instrument: ACCESS_LOG_DROPPED, kind: 'number', points: alone(accessLogDropped) },
    ...RECORDED.map(({ instrument }) => histograms(instrument, registry.recorded.get(instrument.name)?.table ?? [])),
  ];
  return [...families, ...gaugeFamilies(registry)].filter((family) => family.points.length > 0);
}

const histograms = (instrument: Instrument, table: Iterable<HistogramSeries>): MetricFamily => ({
  instrument,
  kind: 'histogram',
  points: Array.from(table, ({ labels, startedAt, histogram }) => ({ labels, startedAt, value: histogram })),
});

const counters = (instrument: Instrument, table: Iterable<CounterSeries>): MetricFamily => ({
  instrument,
  kind: 'number',
  points: Array.from(table, ({ labels, startedAt, value }) => ({ labels, startedAt, value })),
});

function callDurations(registry: Registry): MetricFamily {
  const points: Point<ExplicitHistogram>[] = [];
  for (const { labels, startedAt, byOutcome } of registry.calls) {
    for (const [outcome, value] of Object.entries(byOutcome)) {
      points.push({ labels: { ...labels, 'mesh.outcome': outcome }, startedAt, value });
    }
  }
  return { instrument: CALL_DURATION, kind: 'histogram', points };
}

function callBytes(registry: Registry): MetricFamily {
  const points: Point<number>[] = [];
  for (const { labels, startedAt, bytesSent, bytesReceived } of registry.calls) {
    points.push({ labels: { ...labels, 'network.io.direction': 'transmit' }, startedAt, value: bytesSent });
    points.push({ labels: { ...labels, 'network.io.direction': 'receive' }, startedAt, value: bytesReceived });
  }
  return { instrument: CALL_IO, kind: 'number', points };
}

const connections = (registry: Registry): Point<number>[] =>
  Array.from(registry.xdsConnected, ([server, up]) => ({
    labels: { 'mesh.xds.server': server },
    startedAt: registry.startedAt,
    value: up ? 1 : 0,
  }));

/** Gauges by name. One that throws, or has no number to give, has no value this time. */
function gaugeFamilies(registry: Registry): MetricFamily[] {
  const byName = new Map<string, Point<number>[]>();
  for (const { name, labels, read } of registry.gauges) {
    let value: number;
    try {
      value = read();
    } catch {
      continue;
    }
    if (!Number.isFinite(value)) continue;
    const points = byName.get(name) ?? [];
    byName.set(name, points);
    points.push({ labels, startedAt: registry.startedAt, value });
  }
  return Array.from(byName, ([name, points]) => ({ instrument: gaugeInstrument(name), kind: 'number', points }));
}

/** A gauge that a part of the mesh offers under a name of its own. */
export const gaugeInstrument = (name: string): Instrument => ({
  name,
  kind: 'gauge',
  unit: '1',
  description: `${name} at this moment.`,
});
