import type { Outcome } from '../../../src/core/classify.js';
import type { BreakerConfig } from '../../../src/core/model/breaker.js';

/** A call as the model sees it: in which period of which state it was let through. */
export interface ModelCall {
  readonly period: number;
}

/** What the breaker must do, as plainly as it can be said: every call that ended is kept, and everything is counted anew each time. No jitter. */
export class ModelBreaker {
  state: 'closed' | 'open' | 'half-open' = 'closed';
  readonly events: string[] = [];
  #period = 0;
  #ended: { readonly bucket: number; readonly failed: boolean }[] = [];
  #openings = 0;
  #until = 0;
  #probes: ModelCall[] = [];
  #passed = 0;

  constructor(private readonly config: BreakerConfig) {}

  admit(now: number): ModelCall | undefined {
    if (this.state === 'closed') return { period: this.#period };
    if (this.state === 'open') {
      if (now < this.#until) return undefined;
      this.#enter('half-open', 'half-open');
      this.#probes = [];
      this.#passed = 0;
      this.#until = now + this.#penalty(this.#openings - 1);
    } else if (this.#probes.length + this.#passed >= this.config.probes) {
      if (now < this.#until) return undefined;
      this.#period++;
      this.#probes = [];
      this.#until = now + this.#penalty(this.#openings - 1);
    }
    const call = { period: this.#period };
    this.#probes.push(call);
    return call;
  }

  end(call: ModelCall, outcome: Outcome, now: number): void {
    if (call.period !== this.#period || this.state === 'open') return;
    if (this.state === 'half-open') {
      this.#probes = this.#probes.filter((probe) => probe !== call);
      if (outcome === 'failure') this.#open('probe', now);
      else if (outcome === 'success' && ++this.#passed === this.config.probes) {
        this.#openings = 0;
        this.#ended = [];
        this.#enter('closed', 'close');
      }
      return;
    }
    if (outcome === 'ignored') return;
    this.#ended.push({ bucket: this.#bucket(now), failed: outcome === 'failure' });
    if (outcome === 'success') return;
    const { consecutiveFailures, successRate } = this.config;
    const lastGood = this.#ended.findLastIndex(({ failed }) => !failed);
    if (this.#ended.length - 1 - lastGood === consecutiveFailures) {
      this.#open('consecutive', now);
      return;
    }
    if (successRate === undefined) return;
    const recent = this.#ended.filter(({ bucket }) => bucket > this.#bucket(now) - successRate.buckets);
    const good = recent.filter(({ failed }) => !failed).length;
    if (recent.length >= successRate.minRequests && good / recent.length < successRate.threshold - 1e-12) {
      this.#open('success-rate', now);
    }
  }

  #bucket(now: number): number {
    const { windowMs = 1, buckets = 1 } = this.config.successRate ?? {};
    return Math.floor(now / (windowMs / buckets));
  }

  #penalty(openings: number): number {
    return Math.min(this.config.maxPenaltyMs, this.config.basePenaltyMs * 2 ** openings);
  }

  #open(reason: string, now: number): void {
    this.#until = now + this.#penalty(this.#openings++);
    this.#ended = [];
    this.#enter('open', `open ${reason}`);
  }

  #enter(state: ModelBreaker['state'], event: string): void {
    this.state = state;
    this.#period++;
    this.events.push(event);
  }
}
