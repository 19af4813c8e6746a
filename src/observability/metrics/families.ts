import type { Outcome } from '../../core/classify.js';
import { grpcStatusText, knownMethod, rpcMethod, serverName } from '../semantics.js';
import type { Recorded } from './catalogue.js';
import { ExplicitHistogram, LogLinearHistogram } from './histogram.js';
import { type Labels, type LabelValue, OTHER, type Series, type SeriesPool, SeriesTable } from './series.js';

/** Calls of one destination, route, cluster and version. */
export class CallSeries implements Series {
  usedIn = 0;
  retries = 0;
  bytesSent = 0;
  bytesReceived = 0;
  /** All calls that say something about the service: what quantiles are read from. */
  readonly latency = new LogLinearHistogram();
  /** By outcome; made when the first call has it. */
  readonly byOutcome: Partial<Record<Outcome, ExplicitHistogram>> = {};

  constructor(
    readonly labels: Labels,
    readonly startedAt: number,
  ) {}

  record(outcome: Outcome, durationMs: number): void {
    let histogram = this.byOutcome[outcome];
    if (histogram === undefined) {
      histogram = new ExplicitHistogram();
      this.byOutcome[outcome] = histogram;
    }
    histogram.record(durationMs / 1_000);
    if (outcome !== 'ignored') this.latency.record(durationMs);
  }
}

/** Values under one set of labels: durations, unless `bounds` are of something else. */
export class HistogramSeries implements Series {
  usedIn = 0;
  readonly histogram: ExplicitHistogram;
  constructor(
    readonly labels: Labels,
    readonly startedAt: number,
    bounds?: readonly number[],
  ) {
    this.histogram = new ExplicitHistogram(bounds);
  }
}

/** A count under one set of labels. */
export class CounterSeries implements Series {
  usedIn = 0;
  value = 0;
  constructor(
    readonly labels: Labels,
    readonly startedAt: number,
  ) {}
}

/** Leaves out what has no value. */
export function labelsOf(entries: Readonly<Record<string, LabelValue>>): Labels {
  const labels: Record<string, string | number> = {};
  for (const name of Object.keys(entries)) {
    const value = entries[name];
    if (value !== undefined) labels[name] = value;
  }
  return labels;
}

/**
 * How an attempt or a gRPC call ended, as one key: the status, and after a space the error's code when there is one. Only failures
 * pay for the text.
 */
export type ResultKey = number | string;
export function resultKey(status: number | undefined, error: string | undefined): ResultKey {
  if (error === undefined) return status ?? '';
  return status === undefined ? ` ${error}` : `${status} ${error}`;
}

function parsedResult(key: LabelValue): { status: number | undefined; error: string | undefined } {
  if (typeof key === 'number') return { status: key, error: undefined };
  const [status = '', error] = String(key ?? '').split(' ');
  return { status: status === '' ? undefined : Number(status), error };
}

/** Keys: authority, route, cluster, version. */
export const callTable = (pool: SeriesPool): SeriesTable<CallSeries> =>
  new SeriesTable(pool, (values) => {
    const [destination, route, cluster, version] = values ?? [OTHER, OTHER, OTHER, OTHER];
    const labels = labelsOf({
      'mesh.destination': destination,
      'mesh.route': route,
      'mesh.cluster': cluster,
      'mesh.version': version,
    });
    return new CallSeries(labels, pool.wallTime());
  });

/** Keys: authority, scheme, method, result. */
export const httpTable = (pool: SeriesPool): SeriesTable<HistogramSeries> =>
  new SeriesTable(pool, (values) => {
    if (values === undefined) {
      return new HistogramSeries({ 'http.request.method': '_OTHER', 'server.address': OTHER }, pool.wallTime());
    }
    const [authority, scheme, method, result] = values;
    const server = serverName(String(authority), String(scheme));
    const { status, error } = parsedResult(result);
    const labels = labelsOf({
      'http.request.method': knownMethod(String(method)),
      'server.address': server.address,
      'server.port': server.port,
      'http.response.status_code': status,
      'error.type': error ?? (status !== undefined && status >= 400 ? String(status) : undefined),
    });
    return new HistogramSeries(labels, pool.wallTime());
  });

/** Keys: authority, scheme, path, result. */
export const rpcTable = (pool: SeriesPool): SeriesTable<HistogramSeries> =>
  new SeriesTable(pool, (values) => {
    if (values === undefined) {
      const labels = { 'rpc.system.name': 'grpc', 'rpc.method': '_OTHER', 'server.address': OTHER };
      return new HistogramSeries(labels, pool.wallTime());
    }
    const [authority, scheme, path, result] = values;
    const server = serverName(String(authority), String(scheme));
    const { status, error } = parsedResult(result);
    const name = status === undefined ? undefined : grpcStatusText(status);
    const labels = labelsOf({
      'rpc.system.name': 'grpc',
      'rpc.method': rpcMethod(String(path)),
      'server.address': server.address,
      'server.port': server.port,
      'rpc.status_code': name,
      'error.type': error ?? (status === 0 ? undefined : name),
    });
    return new HistogramSeries(labels, pool.wallTime());
  });

/** Counters by up to four labels of the given names. */
export const counterTable = (pool: SeriesPool, names: readonly string[]): SeriesTable<CounterSeries> =>
  new SeriesTable(pool, (values) => new CounterSeries(labelled(names, values), pool.wallTime()));

/** Histograms of the catalogue's bounds by its up to four attributes. */
export const recordedTable = (pool: SeriesPool, { attributes, bounds }: Recorded): SeriesTable<HistogramSeries> =>
  new SeriesTable(pool, (values) => new HistogramSeries(labelled(attributes, values), pool.wallTime(), bounds));

function labelled(names: readonly string[], values: readonly LabelValue[] | undefined): Labels {
  const entries: Record<string, LabelValue> = {};
  names.forEach((name, i) => {
    entries[name] = values === undefined ? OTHER : values[i];
  });
  return labelsOf(entries);
}
