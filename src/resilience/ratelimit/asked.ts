import type { Clock } from '../../core/clock.js';
import { type CircuitEnv, StoreCircuit } from './circuit.js';

export interface AskedEnv extends CircuitEnv {
  readonly clock: Pick<Clock, 'now' | 'after'>;
}

/**
 * A store or service that must be asked, made when it is first needed. Whoever asks gets undefined when there is no answer: at once while it is lost, and
 * never later than `timeoutMs`, which the store keeps to and this adds for the time that it takes to be made.
 */
export class Asked<T> {
  readonly #circuit: StoreCircuit;
  #made: T | undefined;
  #making: Promise<T> | undefined;
  /** When somebody asked last, or had it made, in monotonic milliseconds. */
  #lastAsked: number;
  #closed = false;

  constructor(
    readonly name: string,
    private readonly timeoutMs: number,
    private readonly make: () => T | Promise<T>,
    private readonly discard: (made: T) => Promise<void> | void,
    private readonly env: AskedEnv,
  ) {
    this.#circuit = new StoreCircuit(name, env);
    this.#lastAsked = env.clock.now();
  }

  get lastAsked(): number {
    return this.#lastAsked;
  }

  /**
   * What `question` comes to; undefined: no answer. What comes without waiting was decided here, and says nothing of whether the store answers. `late` gets
   * an answer that came when the wait was over because the store had to be made first.
   */
  ask<A>(
    question: (store: T) => A | Promise<A>,
    late?: (store: T, answer: A) => void,
  ): A | undefined | Promise<A | undefined> {
    this.#lastAsked = this.env.clock.now();
    if (!this.#circuit.admit()) return undefined;
    if (this.#made === undefined) return this.#later(question, late);
    let answer: A | Promise<A>;
    try {
      answer = question(this.#made);
    } catch (error) {
      this.#circuit.failed(error);
      return undefined;
    }
    if (!(answer instanceof Promise)) {
      this.#circuit.notAsked();
      return answer;
    }
    return this.#settled(answer);
  }

  /** Has it made, ahead of the first call. */
  warm(): void {
    this.#load().catch(() => {}); // who asks finds out
  }

  /** For what needs no answer. */
  tell(statement: (store: T) => void): void {
    if (this.#made === undefined || this.#circuit.lost) return;
    try {
      statement(this.#made);
    } catch (error) {
      this.#circuit.failed(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#made !== undefined) await this.discard(this.#made);
  }

  #settled<A>(answer: Promise<A>): Promise<A | undefined> {
    return answer.then(
      (value) => {
        this.#circuit.succeeded();
        return value;
      },
      (error: unknown) => {
        this.#circuit.failed(error);
        return undefined;
      },
    );
  }

  #load(): Promise<T> {
    this.#making ??= new Promise<T>((resolve) => resolve(this.make())).then(
      async (made) => {
        if (this.#closed) {
          await this.discard(made);
          throw new Error(`"${this.name}" was closed while it was being made`);
        }
        this.#made = made;
        return made;
      },
      (error: unknown) => {
        // The next probe tries again.
        this.#making = undefined;
        throw error;
      },
    );
    return this.#making;
  }

  /** One wait for both: being made, and the answer. */
  #later<A>(
    question: (store: T) => A | Promise<A>,
    late: ((store: T, answer: A) => void) | undefined,
  ): Promise<A | undefined> {
    return new Promise((resolve) => {
      let over = false;
      const cancel = this.env.clock.after(this.timeoutMs, () =>
        fail(new Error(`${this.#made === undefined ? 'not ready' : 'no answer'} within ${this.timeoutMs} ms`)),
      );
      const fail = (error: unknown): void => {
        if (over) return;
        over = true;
        cancel();
        this.#circuit.failed(error);
        resolve(undefined);
      };
      this.#load()
        .then(async (made) => {
          if (over) return;
          const answer = await question(made);
          if (over) return late?.(made, answer);
          over = true;
          cancel();
          this.#circuit.succeeded();
          resolve(answer);
        })
        .catch(fail);
    });
  }
}
