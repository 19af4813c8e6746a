import type { Clock } from '../../../core/clock.js';

/** Refusals in a row that an address is allowed, and how long one is held against it, in milliseconds. */
const MAX_REFUSALS = 10;
const FORGIVEN_MS = 60_000;
/** Addresses that are remembered; the one that was refused longest ago is forgotten first. */
const MAX_ADDRESSES = 10_000;

/**
 * Slows down who tries evidence that may be guessed, or is costly to look at: after ten refusals an address waits until a minute has passed since the first of them. Many
 * share an address (a node pool behind one NAT): what nobody can guess (`Attestor.unguessable`) is neither held back nor counted.
 */
export class Guesses {
  readonly #refusals = new Map<string, number[]>();

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  /** Milliseconds until the address may try again; 0: now. */
  waitFor(address: string): number {
    const times = this.#of(address);
    const first = times[0];
    return times.length < MAX_REFUSALS || first === undefined ? 0 : first + FORGIVEN_MS - this.clock.now();
  }

  refused(address: string): void {
    const times = this.#of(address);
    times.push(this.clock.now());
    // To the end of the line: it is the youngest now.
    this.#refusals.delete(address);
    this.#refusals.set(address, times);
    if (this.#refusals.size > MAX_ADDRESSES)
      for (const oldest of this.#refusals.keys()) return void this.#refusals.delete(oldest);
  }

  #of(address: string): number[] {
    const from = this.clock.now() - FORGIVEN_MS;
    return (this.#refusals.get(address) ?? []).filter((at) => at > from);
  }
}
