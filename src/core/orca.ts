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
