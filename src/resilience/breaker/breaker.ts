import type { Outcome } from '../../core/classify.js';
import type { Clock } from '../../core/clock.js';
import type { Meter, MeshEvent } from '../../core/meter.js';
import type { BreakerConfig } from '../../core/model/breaker.js';
import type { Random } from '../../core/random.js';
import { Circuit, type Opossum } from './circuit.js';
import { BreakerOpenError } from './errors.js';

export interface BreakerEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly meter: Meter;
  /** The cluster's name, for events and errors. */
  readonly cluster: string;
}

type Tripped = Extract<MeshEvent, { kind: 'breaker:open' }>['reason'];

/**
 * The breaker of one destination, as Linkerd's failure accrual has it: closed, it counts failures in a row and the success rate; open, it refuses; after a
 * penalty it lets `probes` calls through and closes when all of them succeed, or opens for twice as long. Circuit and window are opossum's
 * (circuit.ts); penalties, probes and failures in a row are ours. It has no timer and nothing to be closed: that a penalty is over is found out by
 * the next call.
 */
export class Breaker {
  #circuit: Circuit;
  /** Changes with the state: a call that ends in another than it began in counts for nothing. */
  #epoch = 0;
  #failuresInRow = 0;
  #why: Tripped = 'success-rate';
  /** How often it has opened since it was closed. */
  #openings = 0;
  #penaltyMs = 0;
  /** Monotonic milliseconds at which it is half-open; while it is, when its probes are given up. */
  #until = 0;
  #probing = 0;
  #passed = 0;

  constructor(
    private readonly Class: Opossum,
    private config: BreakerConfig,
    private readonly env: BreakerEnv,
  ) {
    this.#circuit = this.#begin(false);
  }

  /** As it is now; an open one whose penalty is over stays open until a call comes. */
  get state(): Circuit['state'] {
    return this.#circuit.state;
  }

  /** Whether a call would be refused. */
  refuses(now: number): boolean {
    const { state } = this.#circuit;
    if (state === 'closed' || now >= this.#until) return false;
    return state === 'open' || this.#full;
  }

  /** What a call that was not let through fails with. */
  refusal(): BreakerOpenError {
    const waitMs = this.#circuit.state === 'open' ? Math.max(0, this.#until - this.env.clock.now()) : 0;
    return new BreakerOpenError(this.env.cluster, waitMs);
  }

  /** New numbers. A closed one begins to count anew; an open one serves its penalty first. */
  update(config: BreakerConfig): void {
    this.config = config;
    if (this.#circuit.state !== 'closed') return;
    this.#failuresInRow = 0;
    this.#circuit = this.#begin(false);
  }

  /** Lets a call through, and says by which number it is to be reported; undefined: it is refused. */
  admit(): number | undefined {
    const { state } = this.#circuit;
    if (state === 'closed') return this.#epoch;
    const now = this.env.clock.now();
    if (state === 'open') {
      if (now < this.#until) return undefined;
      this.#halfOpen(now);
    } else if (this.#full) {
      // A probe that has not ended by now is a stream, or lost: it must not hold up the others for as long as it lasts.
      if (now < this.#until) return undefined;
      this.#epoch++;
      this.#probing = 0;
      this.#until = now + this.#penaltyMs;
    }
    this.#probing++;
    return this.#epoch;
  }

  /** Once for each call that was let through. */
  report(epoch: number, outcome: Outcome): void {
    if (epoch !== this.#epoch) return;
    if (this.#circuit.state === 'half-open') this.#probed(outcome);
    else if (outcome === 'success') {
      this.#failuresInRow = 0;
      this.#circuit.count(false, this.env.clock.now());
    } else if (outcome === 'failure') {
      if (++this.#failuresInRow === this.config.consecutiveFailures) this.#open('consecutive');
      else this.#circuit.count(true, this.env.clock.now());
    }
  }

  get #full(): boolean {
    return this.#probing + this.#passed >= this.config.probes;
  }

  #probed(outcome: Outcome): void {
    this.#probing--;
    if (outcome === 'failure') this.#open('probe');
    else if (outcome === 'success' && ++this.#passed >= this.config.probes) this.#circuit.close();
  }

  #open(why: Tripped): void {
    this.#why = why;
    this.#circuit.open();
    this.#why = 'success-rate';
  }

  readonly #opened = (): void => {
    const { clock, meter, cluster } = this.env;
    this.#epoch++;
    this.#penaltyMs = this.#nextPenalty();
    this.#until = clock.now() + this.#penaltyMs;
    this.#openings++;
    meter.event({ kind: 'breaker:open', cluster, reason: this.#why });
  };

  readonly #closed = (): void => {
    this.#epoch++;
    this.#openings = 0;
    this.#failuresInRow = 0;
    // Another one, as there may be other numbers by now.
    this.#circuit = this.#begin(false);
    this.env.meter.event({ kind: 'breaker:close', cluster: this.env.cluster });
  };

  #halfOpen(now: number): void {
    this.#circuit = this.#begin(true);
    this.#epoch++;
    this.#probing = 0;
    this.#passed = 0;
    this.#until = now + this.#penaltyMs;
    this.env.meter.event({ kind: 'breaker:half-open', cluster: this.env.cluster });
  }

  /** min(max, base · 2ⁿ), and up to `jitter` of it more but never more than the maximum (linkerd2-proxy, exp-backoff). */
  #nextPenalty(): number {
    const { basePenaltyMs, maxPenaltyMs, jitter } = this.config;
    const penalty = Math.min(maxPenaltyMs, basePenaltyMs * 2 ** this.#openings);
    return Math.min(maxPenaltyMs, penalty * (1 + jitter * this.env.random.next()));
  }

  #begin(halfOpen: boolean): Circuit {
    const { clock } = this.env;
    return new Circuit(this.Class, this.config, clock.now(), {
      halfOpen,
      onOpen: this.#opened,
      onClose: this.#closed,
    });
  }
}
