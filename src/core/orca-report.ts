/** Entries of all three maps together; a report with more is not read. */
export const MAX_METRICS = 1_000;

/** `xds.data.orca.v3.OrcaLoadReport`: what a backend says of itself, per reply or out of band (gRFC A51). */
export interface BackendMetrics {
  readonly cpuUtilization: number;
  readonly memUtilization: number;
  readonly applicationUtilization: number;
  /** Requests per second. */
  readonly rps: number;
  /** Errors per second. */
  readonly eps: number;
  readonly utilization: Readonly<Record<string, number>>;
  readonly requestCost: Readonly<Record<string, number>>;
  readonly namedMetrics: Readonly<Record<string, number>>;
}

/** The message's own metrics, and its maps. */
export type OwnMetric = 'cpuUtilization' | 'memUtilization' | 'applicationUtilization' | 'rps' | 'eps';
export type MetricMap = 'utilization' | 'requestCost' | 'namedMetrics';

/** BackendMetrics while they are read. */
export type MetricsDraft = Record<OwnMetric, number> & Record<MetricMap, Record<string, number>>;

export function emptyMetrics(): MetricsDraft {
  return {
    cpuUtilization: 0,
    memUtilization: 0,
    applicationUtilization: 0,
    rps: 0,
    eps: 0,
    utilization: Object.create(null),
    requestCost: Object.create(null),
    namedMetrics: Object.create(null),
  };
}

/** The ranges are those of orca_load_report.proto. */
export const validOwn = (name: OwnMetric, value: number): boolean =>
  Number.isFinite(value) && value >= 0 && (name !== 'memUtilization' || value <= 1);

export const validNamed = (map: MetricMap, value: number): boolean =>
  Number.isFinite(value) && (map !== 'utilization' || (value >= 0 && value <= 1));

/** "Values outside of the valid range are ignored" - gRFC A51. */
export function setOwn(draft: MetricsDraft, name: OwnMetric, value: number): void {
  if (validOwn(name, value)) draft[name] = value;
}

export function setNamed(draft: MetricsDraft, map: MetricMap, name: string, value: number): void {
  if (validNamed(map, value)) draft[map][name] = value;
}
