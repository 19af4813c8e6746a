import { type Backoff, spreadJitter } from '../../core/backoff.js';
import type { Scheme } from '../../core/call.js';
import type { Clock } from '../../core/clock.js';
import type { BackendMetrics } from '../../core/orca-report.js';
import { readOrcaReport } from '../../core/orca-wire.js';
import type { Random } from '../../core/random.js';
import type { Transport } from '../../core/transport.js';
import { VERSION } from '../../core/version.js';
import { openServerStream } from '../grpc/server-stream.js';
import { STATUS } from '../grpc/status.js';
import { encodeReportRequest } from './report-request.js';

/** "the client will use exponential backoff between attempts" - gRFC A51; 1 s × 1.6 to 120 s, ± 20 % (grpc/doc/connection-backoff.md). */
const BACKOFF: Backoff = { baseMs: 1_000, maxMs: 120_000, multiplier: 1.6 };
/** No report is longer: 1,000 names of some length. */
const MAX_REPORT_BYTES = 65_536;
const METHOD = '/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics';

export type OnReport = (report: BackendMetrics, now: number) => void;

export interface ReportsOwner {
  readonly clock: Clock;
  readonly random: Random;
  /** The transport that the endpoint's gRPC calls go by now. */
  transport(): Transport;
  /** Whom the endpoint is asked as. */
  target(): { readonly authority: string; readonly scheme: Scheme };
  /** Runs the task in its turn; the result takes it out of the line. */
  run(task: () => void): () => void;
  unimplemented(): void;
}

interface Subscriber {
  readonly periodMs: number;
  readonly onReport: OnReport;
}

/** The stream of one endpoint's load reports, for all who listen to it; opened again when it breaks. */
export class EndpointReports {
  readonly #subscribers = new Set<Subscriber>();
  /** What the server was asked for; Infinity: nothing yet. */
  #periodMs = Number.POSITIVE_INFINITY;
  /** Attempts without a report; the next wait grows with it. Reset by a report. */
  #attempts = 0;
  /** "the client must not retry the call on the same connection" - A51, after UNIMPLEMENTED. Ends the wait for another one. */
  #stopWaiting: (() => void) | undefined;
  /** What there is to cancel: a wait, a place in the line, or a stream. */
  #cancel: (() => void) | undefined;

  constructor(private readonly owner: ReportsOwner) {}

  get wanted(): boolean {
    return this.#subscribers.size > 0;
  }

  subscribe(periodMs: number, onReport: OnReport): () => void {
    const subscriber = { periodMs, onReport };
    this.#subscribers.add(subscriber);
    this.#adjust();
    return () => {
      if (this.#subscribers.delete(subscriber)) this.#adjust();
    };
  }

  /** "we will use the minimum of those intervals" - A51; with another one the call is made anew. */
  #adjust(): void {
    let periodMs = Number.POSITIVE_INFINITY;
    for (const subscriber of this.#subscribers) periodMs = Math.min(periodMs, subscriber.periodMs);
    if (periodMs === this.#periodMs) return;
    this.#periodMs = periodMs;
    this.#stop();
    if (!this.wanted) this.#stopWaiting?.();
    else if (this.#stopWaiting === undefined) this.#start();
  }

  #stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #start(): void {
    this.#cancel = undefined;
    const leave = this.owner.run(() => this.#open());
    // It may have begun at once.
    this.#cancel ??= leave;
  }

  #open(): void {
    const { owner } = this;
    const startedAt = owner.clock.now();
    let answered = false;
    const request = {
      path: METHOD,
      ...owner.target(),
      message: encodeReportRequest(this.#periodMs),
      maxMessageBytes: MAX_REPORT_BYTES,
      userAgent: `inmesh/${VERSION}`,
    };
    this.#cancel = openServerStream(owner.transport(), request, {
      message: (bytes) => {
        const report = readOrcaReport(bytes);
        if (report === undefined) return 'a message is no xds.data.orca.v3.OrcaLoadReport';
        answered = true;
        this.#attempts = 0;
        this.#deliver(report);
        return undefined;
      },
      // "when the backend sends a `GOAWAY`, the client will cancel the `StreamCoreMetrics` call" - A51
      draining: () => {
        this.#stop();
        this.#again(startedAt, true);
      },
      ended: (code, _detail, _network, onDisconnect) => {
        this.#cancel = undefined;
        if (code !== STATUS.UNIMPLEMENTED) return this.#again(startedAt, answered);
        const renewed = (): void => {
          this.#stopWaiting = undefined;
          this.#again(startedAt, false);
        };
        this.#stopWaiting = onDisconnect?.(renewed) ?? never;
        owner.unimplemented();
      },
    });
  }

  #deliver(report: BackendMetrics): void {
    const now = this.owner.clock.now();
    for (const { onReport } of [...this.#subscribers]) onReport(report, now);
  }

  /**
   * "the backoff state is reset, so the next attempt will occur immediately" - A51, after a report. Not sooner, though, than the first back-off after the
   * last attempt: a server that answers and hangs up would be asked without end.
   */
  #again(startedAt: number, answered: boolean): void {
    const { clock, random } = this.owner;
    const backOffMs = answered ? BACKOFF.baseMs : spreadJitter(BACKOFF, ++this.#attempts, random);
    const delayMs = Math.max(0, startedAt + backOffMs - clock.now());
    this.#cancel = clock.after(delayMs, () => this.#start(), { background: true });
  }
}

/** There is no telling one connection from another: it is not asked again. */
const never = (): void => {};
