import type { Clock } from '../../core/clock.js';
import type { Logger } from '../../core/log.js';
import { runToEnd, Slices } from '../../core/steps.js';
import type { Endpoint } from '../endpoints/endpoint.js';
import type { Hash64 } from './hash.js';
import { type MaglevTable, maglevSteps, slotOf } from './maglev-table.js';
import type { Weights } from './policy.js';

/** Slots up to which a table is made at once: some 10 ms. */
export const AT_ONCE = 100_000;
/** Slots of the table that serves until the first large one is there; a prime. */
const INTERIM = 16_381;

/** What a table is made of. */
interface Contents {
  readonly keys: readonly string[];
  readonly weights: Weights;
  /** By the numbers in the table. Another list when only the endpoints behind the keys are others. */
  endpoints: readonly Endpoint[];
}

/**
 * The table of a Maglev balancer and its making. One of more than `AT_ONCE` slots, which takes up to some seconds, is made a slice of the event loop at
 * a time. Meanwhile the one before serves, and what it says of endpoints that are gone does not count.
 */
export class MaglevLookup {
  #latest: Contents = { keys: [], weights: [], endpoints: [] };
  #serving: { readonly table: MaglevTable; readonly of: Contents } = { table: new Uint16Array(0), of: this.#latest };
  /** What a table is to be made of; undefined once it is begun. */
  #due: Contents | undefined;
  /** Those of the latest list; read while another is served. */
  #members: ReadonlySet<Endpoint> = new Set();
  #making = false;
  #closed = false;

  constructor(
    private readonly size: number,
    private readonly hash64: Hash64,
    private readonly env: {
      readonly clock: Clock;
      readonly logger?: Pick<Logger, 'error'> | undefined;
    },
  ) {}

  update(keys: readonly string[], weights: Weights, endpoints: readonly Endpoint[]): void {
    const contents = { keys, weights, endpoints };
    this.#latest = contents;
    this.#due = undefined;
    if (endpoints.length === 0 || this.size <= AT_ONCE) {
      this.#serveAtOnce(this.size);
      return;
    }
    this.#members = new Set(endpoints);
    // A table that knows none of these endpoints is of no use.
    if (!this.#serving.of.endpoints.some((endpoint) => this.#members.has(endpoint))) this.#serveAtOnce(INTERIM);
    this.#due = contents;
    if (!this.#making) void this.#makeInSlices();
  }

  /** Other endpoints, or the same in another array, behind the keys of the last update. */
  replace(endpoints: readonly Endpoint[]): void {
    this.#latest.endpoints = endpoints;
    if (this.#serving.of !== this.#latest) this.#members = new Set(endpoints);
  }

  /** The endpoint of a hash, given in two words; undefined: there is none, or it is gone. */
  find(high: number, low: number): Endpoint | undefined {
    const { table, of } = this.#serving;
    const endpoint = of.endpoints[table[slotOf(high, low, table.length)] as number];
    return endpoint === undefined || of === this.#latest || this.#members.has(endpoint) ? endpoint : undefined;
  }

  close(): void {
    this.#closed = true;
  }

  #serveAtOnce(size: number): void {
    const { keys, weights } = this.#latest;
    this.#serving = { table: runToEnd(maglevSteps(keys, weights, size, this.hash64)), of: this.#latest };
  }

  /** One table after the other, each of the latest list when it is begun: where updates come faster than tables, calls still get newer ones. */
  async #makeInSlices(): Promise<void> {
    this.#making = true;
    const slices = new Slices(this.env.clock);
    try {
      for (let of = this.#due; of !== undefined; of = this.#due) {
        this.#due = undefined;
        const steps = maglevSteps(of.keys, of.weights, this.size, this.hash64);
        let step = steps.next();
        for (; step.done !== true; step = steps.next()) {
          if (slices.over) await slices.pause();
          if (this.#closed) return;
        }
        this.#serving = { table: step.value, of };
      }
    } catch (error) {
      this.env.logger?.error('balancer maglev: its table cannot be made; the one before serves on', {
        error: String(error),
      });
    } finally {
      this.#making = false;
    }
  }
}
