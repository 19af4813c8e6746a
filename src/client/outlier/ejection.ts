/** What an endpoint is ejected for: Envoy's `OutlierEjectionType` in lower case. Names of metrics, events and, in capitals, of log lines. */
export type EjectionType = ConsecutiveType | StatisticalType;

/** So many failures in a row, ejected at once. */
export type ConsecutiveType = 'consecutive_5xx' | 'consecutive_gateway_failure' | 'consecutive_local_origin_failure';

/** Judged at each interval by what came of all attempts in it (gRFC A50). */
export type StatisticalType =
  | 'success_rate'
  | 'success_rate_local_origin'
  | 'failure_percentage'
  | 'failure_percentage_local_origin';

/** What the interval's numbers said when they ejected an endpoint; rates in percent, as Envoy's log has them. */
export interface Evidence {
  readonly hostSuccessRate: number;
  /** Of the success rate kinds only. */
  readonly average?: number | undefined;
  readonly threshold?: number | undefined;
}
