import { type BackendMetrics, emptyMetrics, type OwnMetric } from '../../core/orca-report.js';
import { encodeOrcaReport, type OrcaFormat, orcaHeader } from '../../core/orca-write.js';
import { type MetricRecorder, serverMetrics } from './metric-recorder.js';
import type { RequestMetrics } from './request-metrics.js';

export interface OrcaOptions {
  /** Whose metrics are reported. Default: `serverMetrics()`, those of the process. */
  readonly recorder?: MetricRecorder;
  /**
   * Form of the header field `endpoint-load-metrics` over HTTP. Default `json`, which holds all metrics and can be read; `text` holds no `utilization`
   * and no `request_cost`. Over gRPC it is the trailer `endpoint-load-metrics-bin`, always.
   */
  readonly format?: OrcaFormat;
}

/** Bytes of a report at most: Node's clients take 16 KiB of header fields altogether. A longer one is reported without named metrics of any kind. */
export const MAX_REPORT_BYTES = 4_096;

const OWN: readonly OwnMetric[] = ['cpuUtilization', 'memUtilization', 'applicationUtilization', 'rps', 'eps'];

/** Writes the reports of a server: each as often as there is another one, not once a request. */
export class LoadReporting {
  readonly recorder: MetricRecorder;
  readonly #format: OrcaFormat;
  /** What was written last, and of which report. */
  #headerOf: BackendMetrics | undefined;
  #header = '';
  #trailerOf: BackendMetrics | undefined;
  #trailer: Buffer = Buffer.alloc(0);

  constructor({ recorder = serverMetrics(), format = 'json' }: OrcaOptions = {}) {
    this.recorder = recorder;
    this.#format = format;
  }

  /** The value of `endpoint-load-metrics`. */
  header(request: RequestMetrics): string {
    const report = request.over(this.recorder.report());
    if (report !== this.#headerOf) {
      const whole = orcaHeader(report, this.#format);
      this.#header = whole.length <= MAX_REPORT_BYTES ? whole : orcaHeader(ownMetrics(report), this.#format);
      this.#headerOf = report;
    }
    return this.#header;
  }

  /** The value of `endpoint-load-metrics-bin`. */
  trailer(request: RequestMetrics): Buffer {
    const report = request.over(this.recorder.report());
    if (report !== this.#trailerOf) {
      const whole = encodeOrcaReport(report);
      this.#trailer = whole.byteLength <= MAX_REPORT_BYTES ? whole : encodeOrcaReport(ownMetrics(report));
      this.#trailerOf = report;
    }
    return this.#trailer;
  }
}

function ownMetrics(report: BackendMetrics): BackendMetrics {
  const draft = emptyMetrics();
  for (const name of OWN) draft[name] = report[name];
  return draft;
}

let ofProcess: LoadReporting | undefined;
const ofOptions = new WeakMap<OrcaOptions, LoadReporting>();

/** The reporting that options ask for, the same for all requests of a server; undefined when they ask for none. */
export function loadReporting(orca: boolean | OrcaOptions | undefined): LoadReporting | undefined {
  if (orca === undefined || orca === false) return undefined;
  if (orca === true) {
    ofProcess ??= new LoadReporting();
    return ofProcess;
  }
  let reporting = ofOptions.get(orca);
  if (reporting === undefined) {
    reporting = new LoadReporting(orca);
    ofOptions.set(orca, reporting);
  }
  return reporting;
}
