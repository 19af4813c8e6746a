import type { ClusterLoad, LoadRecorder } from '../../core/load-reports.js';
import type { Meter } from '../../core/meter.js';
import type { ClusterConfig, LoadReportConfig } from '../../core/model/cluster.js';
import type { EndpointConfig } from '../../core/model/endpoint.js';

/** A cluster's account with whoever counts load: opened and closed as its configuration asks for reports (gRFC A27 `lrs_server`). */
export class LoadAccount {
  #load: ClusterLoad | undefined;
  #asked: LoadReportConfig | undefined;
  #service: string | undefined;

  constructor(private readonly recorder: () => LoadRecorder | undefined) {}

  /** Undefined: nobody asks. */
  get load(): ClusterLoad | undefined {
    return this.#load;
  }

  /** True when the account is another one than before. */
  update({ name, edsServiceName, loadReports }: ClusterConfig): boolean {
    if (loadReports === this.#asked && edsServiceName === this.#service) return false;
    const before = this.#load;
    this.#asked = loadReports;
    this.#service = edsServiceName;
    // The new one is there before the old one goes: they may be the same to the recorder.
    this.#load = loadReports === undefined ? undefined : this.recorder()?.cluster(name, edsServiceName, loadReports);
    before?.release();
    return before !== this.#load;
  }

  ofEndpoint({ locality }: EndpointConfig): ReturnType<ClusterLoad['locality']> | undefined {
    return this.#load?.locality(locality);
  }

  close(): void {
    this.#load?.release();
    this.#load = undefined;
    this.#asked = undefined;
  }

  /**
   * `meter`, which circuit limits tell of what they refuse, with an ear for calls that are lost by it: "total_dropped_requests" has those
   * "dropped due to circuit breaking" too (gRFC A32).
   */
  watch(meter: Meter): Meter {
    return {
      callFinished: (finished) => meter.callFinished(finished),
      attemptFinished: (finished) => meter.attemptFinished(finished),
      gauge: (name, labels, read) => meter.gauge(name, labels, read),
      record: (name, labels, value) => meter.record(name, labels, value),
      event: (event) => {
        if (event.kind === 'circuit:open' && LOSES_CALLS.has(event.limit)) this.#load?.dropped(undefined);
        meter.event(event);
      },
    };
  }
}

/** A call that gets no retry has been counted, and one that gets no connection of its own takes another. */
const LOSES_CALLS: ReadonlySet<string> = new Set(['max_requests', 'max_pending_requests']);
