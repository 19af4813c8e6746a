import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import type { Random } from '../../core/random.js';
import type { Resource } from '../../core/resources.js';
import { Attempts } from '../attempts.js';
import type { ServerTransport, StreamEnd, XdsStream } from '../client/transport.js';
import { type Codec, loadCodec } from '../wire/index.js';
import type { ClusterCounts } from './cluster-account.js';
import { Demand } from './demand.js';
import { LOAD_STATS_REQUEST, LOAD_STATS_RESPONSE, LRS_PATH, type LoadStatsResponse } from './messages.js';
import { isZero, loadStatsRequest } from './report.js';
import type { ServerLoads } from './server-loads.js';

/** A server that does not speak LRS is asked again after so long, ± 20 %, in milliseconds: it may have been replaced by one that does. */
const UNIMPLEMENTED_RETRY = { baseMs: 600_000, maxMs: 600_000 };
/** `close` waits so long for the last report to leave, in milliseconds. */
export const FINAL_REPORT_MS = 1_000;
/** A report keeps no process alive, but for the last one. */
const BACKGROUND = true;
const UNIMPLEMENTED = 12;
const UNAVAILABLE = 14;

export interface ReportingStreamOptions {
  readonly loads: ServerLoads;
  /** `envoy.config.core.v3.Node`, sent with the first request of each stream. */
  readonly node: Resource;
  /** The server's URI, for logs. */
  readonly uri: string;
  readonly transport: () => Promise<ServerTransport>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** One stream of one attempt, and what is known of it. */
interface Attempt {
  readonly stream: XdsStream;
  /** The server has said what it wants: reports can be sent. */
  answered: boolean;
  /** A request is on its way; the next one waits for it. */
  sending: boolean;
  /** Taken out of the accounts for the request that is on its way. */
  taken: readonly ClusterCounts[];
}

/**
 * Reports load to one server for as long as there is load to report: connects, waits for the server to say what it wants, sends the sums
 * of each interval, and begins again when the stream ends. LRS has no acknowledgements: a report that left counts as received, and one that did
 * not is added to the next.
 */
export class ReportingStream {
  readonly #demand = new Demand();
  #attempt: Attempt | undefined;
  /** An attempt is being prepared: the transport is not there yet. */
  #opening = false;
  #closed = false;
  #lastWasZero = false;
  /** Monotonic milliseconds before which no attempt is made. */
  #notBefore = 0;
  /** The trouble that has been logged as a warning; undefined when there has been none since the last answer. */
  #told: string | undefined;
  /** A connection, an attempt, the next report, or the last one is awaited: one of them at a time. */
  readonly #attempts: Attempts;
  #codec: Codec | undefined;
  #finish: (() => void) | undefined;

  constructor(private readonly options: ReportingStreamOptions) {
    this.#attempts = new Attempts(options.clock, options.random);
  }

  /** There may be load to report now, or none any more. */
  wake(): void {
    if (this.#closed) return;
    if (this.options.loads.needed) this.#start();
    else if (this.#attempt?.sending !== true) this.#stop();
  }

  /** Sends what was counted since the last report, if the server wants it and takes it at once, and ends the stream. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    this.#closed = true;
    const attempt = this.#attempt;
    if (attempt?.answered !== true) {
      this.#stop();
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#finish = () => {
        this.#stop();
        resolve();
      };
      this.#attempts.wait(FINAL_REPORT_MS, this.#finish);
      if (!attempt.sending) this.#sendFinal(attempt);
    });
  }

  #start(): void {
    if (this.#attempt !== undefined || this.#opening || this.#attempts.waiting) return;
    const wait = this.#notBefore - this.options.clock.now();
    if (wait > 0) this.#attempts.wait(wait, () => this.#start(), BACKGROUND);
    else void this.#open();
  }

  async #open(): Promise<void> {
    this.#opening = true;
    let transport: ServerTransport | undefined;
    let problem = '';
    try {
      [transport, this.#codec] = await Promise.all([this.options.transport(), loadCodec()]);
    } catch (error) {
      problem = (error as Error).message;
    }
    this.#opening = false;
    if (this.#closed || !this.options.loads.needed) return;
    if (transport !== undefined) this.#connect(transport);
    else {
      this.#attempts.failed();
      this.#retryLater(undefined, problem);
    }
  }

  #connect(transport: ServerTransport): void {
    const stream = transport(LRS_PATH, {
      connected: () => {
        if (this.#attempt === attempt) this.#attempts.stop();
      },
      message: (bytes) => {
        if (this.#attempt !== attempt) return;
        this.#received(attempt, bytes);
        stream.read();
      },
      ended: (end) => {
        if (this.#attempt === attempt) this.#ended(attempt, end);
      },
    });
    const attempt: Attempt = { stream, answered: false, sending: false, taken: [] };
    this.#attempt = attempt;
    this.#lastWasZero = false;
    this.#attempts.begun((details) => this.#giveUp(attempt, details), BACKGROUND);
    this.#send(attempt, { node: this.options.node }, []);
    stream.read();
  }

  #received(attempt: Attempt, bytes: Uint8Array): void {
    let response: LoadStatsResponse;
    try {
      response = (this.#codec as Codec).decodeMessage(LOAD_STATS_RESPONSE, bytes) as LoadStatsResponse;
    } catch (error) {
      const { message: detail } = error as Error;
      this.options.logger.warn('the control plane sent what is no LoadStatsResponse', {
        server: this.options.uri,
        detail,
      });
      return;
    }
    const restart = this.#demand.answer(response) || !attempt.answered;
    attempt.answered = true;
    this.#attempts.answered();
    this.#told = undefined;
    if (this.#closed || !restart) return;
    this.#attempts.stop();
    this.#schedule(attempt);
  }

  /** The next interval begins when the last report has left: intervals are "only a minimum" - Envoy, lrs.proto */
  #schedule(attempt: Attempt): void {
    if (!attempt.answered || attempt.sending || this.#attempts.waiting) return;
    this.#attempts.wait(this.#demand.intervalMs, () => this.#report(attempt), BACKGROUND);
  }

  #report(attempt: Attempt): void {
    // Before anything is taken: an account that goes with it wakes us.
    attempt.sending = true;
    const taken = this.options.loads.take((cluster) => this.#demand.wants(cluster));
    const zero = isZero(taken);
    // "Skip client load report if the counters were all zero in the last report and they are still zero in this one" - C-core
    const skipped = zero && this.#lastWasZero;
    this.#lastWasZero = zero;
    if (skipped) this.#sent(attempt);
    else this.#send(attempt, loadStatsRequest(taken), taken);
  }

  #sendFinal(attempt: Attempt): void {
    const taken = this.options.loads.take((cluster) => this.#demand.wants(cluster));
    if (isZero(taken)) this.#finish?.();
    else this.#send(attempt, loadStatsRequest(taken), taken, () => this.#finish?.());
  }

  #send(attempt: Attempt, request: object, taken: readonly ClusterCounts[], then?: () => void): void {
    attempt.sending = true;
    let bytes: Uint8Array;
    try {
      bytes = (this.#codec as Codec).encodeMessage(LOAD_STATS_REQUEST, request);
    } catch (error) {
      this.#giveUp(attempt, `a request cannot be written: ${(error as Error).message}`);
      return;
    }
    attempt.taken = taken;
    attempt.stream.send(bytes, () => {
      if (this.#attempt !== attempt) return;
      attempt.taken = [];
      if (then === undefined) this.#sent(attempt);
      else then();
    });
  }

  #sent(attempt: Attempt): void {
    attempt.sending = false;
    if (this.#closed) this.#sendFinal(attempt);
    else if (!this.options.loads.needed) this.#stop();
    else this.#schedule(attempt);
  }

  /** Ends a stream that cannot go on, as if the server could not be reached. */
  #giveUp(attempt: Attempt, details: string): void {
    attempt.stream.close();
    this.#ended(attempt, { code: UNAVAILABLE, details });
  }

  #ended(attempt: Attempt, { code, details }: StreamEnd): void {
    this.#attempt = undefined;
    this.#attempts.stop();
    this.options.loads.putBack(attempt.taken);
    if (this.#closed) {
      this.#finish?.();
      return;
    }
    if (!attempt.answered) this.#attempts.failed();
    this.#retryLater(code, `stream ended with gRPC status ${code}: ${details || 'no details'}`);
  }

  #retryLater(code: number | undefined, details: string): void {
    const { clock, loads, logger, uri } = this.options;
    const { failures } = this.#attempts;
    const lacksLrs = code === UNIMPLEMENTED;
    // "If we saw a response on the current stream, reset backoff" - C-core; what follows is the first wait.
    const wait = this.#attempts.backoffMs(lacksLrs ? UNIMPLEMENTED_RETRY : undefined);
    const trouble = lacksLrs ? 'the control plane takes no load reports' : 'load cannot be reported for now';
    if (failures === 0 || this.#told === trouble) {
      logger.debug('the stream for load reports ended', { server: uri, details });
    } else logger.warn(trouble, { server: uri, details });
    this.#told = failures === 0 ? undefined : trouble;
    this.#notBefore = clock.now() + wait;
    const again = (): void => {
      loads.expire();
      if (loads.needed) this.#start();
    };
    this.#attempts.wait(wait, again, BACKGROUND);
  }

  #stop(): void {
    this.#attempts.stop();
    const attempt = this.#attempt;
    this.#attempt = undefined;
    attempt?.stream.close();
  }
}
