import type { Clock } from '../../core/clock.js';
import type { Endpoint } from '../endpoints/endpoint.js';

/** "the default Connection Attempt Delay value is 250ms" - gRFC A61. */
const ATTEMPT_DELAY_MS = 250;

/**
 * Happy Eyeballs among endpoints (RFC 8305, gRFC A61): calls wait for the connection of one, and when it is long in coming the next is connected to as
 * well, and so on. The first that is there wins; calls go on to it from the one that they waited for. (The addresses of one endpoint are raced by its
 * transports.)
 */
export class Race {
  /** Whom calls wait for; undefined when there is no race. */
  #first: Endpoint | undefined;
  /** Those that have been connected to beside it. */
  readonly #others = new Set<Endpoint>();
  /** Of them, and of those of the race before, who have not been heard of. */
  #looks = 0;
  #stopTimer: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    /** Those that may win, in order of preference, as they are now. */
    private readonly order: () => readonly Endpoint[],
    private readonly won: (winner: Endpoint) => void,
  ) {}

  /** A call goes to `first`, which has no connection yet. */
  run(first: Endpoint): void {
    if (this.#first === first) return;
    this.stop();
    this.#first = first;
    this.#wait();
  }

  stop(): void {
    this.#first = undefined;
    this.#others.clear();
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #wait(): void {
    this.#stopTimer = this.clock.after(ATTEMPT_DELAY_MS, () => this.#next(), { background: true });
  }

  #next(): void {
    this.#stopTimer = undefined;
    const other = this.#settled ? undefined : this.order().find((endpoint) => this.#mayRun(endpoint));
    if (other === undefined) return this.#endIfOver();
    this.#others.add(other);
    this.#looks++;
    void other.look(this.clock).then(() => this.#looked(other));
    this.#wait();
  }

  #mayRun(endpoint: Endpoint): boolean {
    return endpoint !== this.#first && endpoint.reach !== 'unreachable' && !this.#others.has(endpoint);
  }

  #looked(other: Endpoint): void {
    this.#looks--;
    const first = this.#first;
    const wins = this.#others.has(other) && other.reach === 'reached' && this.order().includes(other);
    if (first === undefined || this.#settled || !wins) return this.#endIfOver();
    this.stop();
    this.won(other);
    first.giveUp();
  }

  /** Nobody is left to be tried, and nobody to be heard of; the next call begins anew. */
  #endIfOver(): void {
    if (this.#settled || (this.#looks === 0 && this.#stopTimer === undefined)) this.stop();
  }

  /** The first is there, or it is known that it cannot be: then its calls have gone on by themselves. */
  get #settled(): boolean {
    return this.#first === undefined || this.#first.connections > 0 || this.#first.reach === 'unreachable';
  }
}
