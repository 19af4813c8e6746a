export { LoadReporter, type LoadReporterOptions } from './load-reporter.js';
