export type { OrcaFormat } from '../../core/orca-write.js';
export { requestMetrics } from './current.js';
export { MetricRecorder, type MetricRecorderOptions, serverMetrics } from './metric-recorder.js';
export type { OrcaOptions } from './reporting.js';
export type { RequestMetrics } from './request-metrics.js';
export type { LoadSources } from './sources.js';
