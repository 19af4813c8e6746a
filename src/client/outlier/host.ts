import type { OutlierConfig } from '../../core/model/outlier.js';
import type { AttemptMonitor } from '../endpoints/endpoint.js';
import type { EndpointHealth } from '../endpoints/health.js';
import type { ConsecutiveType } from './ejection.js';
import { Tally } from './tally.js';

/** What of an endpoint is judged, and told. */
export interface JudgedEndpoint {
  readonly key: string;
  readonly health: Pick<EndpointHealth, 'eject' | 'uneject'>;
  /** Written here. */
  monitor: AttemptMonitor | undefined;
}

/** Who decides what a row of failures means. */
export interface Judge {
  readonly config: OutlierConfig;
  /** As many failures in a row as the configuration says. */
  consecutive(host: OutlierHost, type: ConsecutiveType, now: number): void;
}

/** What came without a status counts as this: connection failures are 503, timeouts 504 (Envoy `resultToHttpCode`), and both are gateway failures. */
const WITHOUT_STATUS = 503;

/** What outlier detection knows of one endpoint. Stays as long as the endpoint is configured, whatever else changes. */
export class OutlierHost implements AttemptMonitor {
  /** What the server answered; without the split, all attempts. */
  readonly external = new Tally();
  /** Whether there was an answer; counted with the split only. */
  readonly local = new Tally();
  /** Monotonic milliseconds; undefined while it is not ejected. The detection writes this and all below. */
  ejectedAt: number | undefined;
  /** Of the base time: rises with each ejection, falls with each interval without. */
  multiplier = 0;
  /** Milliseconds that the current ejection lasts longer than others. */
  jitterMs = 0;
  /** Ejections so far. */
  ejections = 0;
  /** Monotonic milliseconds of the last ejection or its end. */
  lastActionAt: number | undefined;
  /** Number of the last update that had it. */
  seenIn = 0;
  /** Failures in a row, by kind. */
  #fiveXx = 0;
  #gateway = 0;
  #localOrigin = 0;

  constructor(
    public endpoint: JudgedEndpoint,
    private readonly judge: Judge,
  ) {}

  /** Envoy's `putResult` and `putHttpResponseCode`. An attempt is counted once: as an answer, or as the lack of one. */
  finished(outcome: 'success' | 'failure', status: number | undefined, local: boolean, now: number): void {
    const { config } = this.judge;
    if (config.splitLocalOrigin) {
      this.local.count(!local);
      if (local) {
        if (++this.#localOrigin === config.consecutiveLocalOriginFailure?.count)
          this.judge.consecutive(this, 'consecutive_local_origin_failure', now);
        return;
      }
      this.#localOrigin = 0;
    }
    this.external.count(outcome === 'success');
    const code = status ?? (outcome === 'success' ? 200 : WITHOUT_STATUS);
    if (code < 500) {
      this.#fiveXx = 0;
      this.#gateway = 0;
      return;
    }
    if (code < 502 || code > 504) this.#gateway = 0;
    else if (++this.#gateway === config.consecutiveGatewayFailure?.count)
      this.judge.consecutive(this, 'consecutive_gateway_failure', now);
    if (++this.#fiveXx === config.consecutive5xx?.count) this.judge.consecutive(this, 'consecutive_5xx', now);
  }

  /** The row has been judged: the next one begins. */
  resetRow(type: ConsecutiveType): void {
    if (type === 'consecutive_5xx') this.#fiveXx = 0;
    else if (type === 'consecutive_gateway_failure') this.#gateway = 0;
    else this.#localOrigin = 0;
  }

  resetRows(): void {
    this.#fiveXx = 0;
    this.#gateway = 0;
    this.#localOrigin = 0;
  }
}
