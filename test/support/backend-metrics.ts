import type { BackendMetrics } from '../../src/core/orca.js';

/** A load report that says nothing. */
export const NO_METRICS: BackendMetrics = {
  cpuUtilization: 0,
  memUtilization: 0,
  applicationUtilization: 0,
  rps: 0,
  eps: 0,
  utilization: {},
  requestCost: {},
  namedMetrics: {},
};
