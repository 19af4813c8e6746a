import type { Clock } from '../../../core/clock.js';
import { Line, type Turn, type WaitFor } from './line.js';

/** The lines of one mesh, by count: each is there while somebody waits in it. */
export class Lines {
  readonly #lines = new Map<string, Line>();
  #closed = false;

  constructor(private readonly clock: Pick<Clock, 'now' | 'after'>) {}

  /** Whether somebody waits for the count of this name. */
  has(name: string): boolean {
    return this.#lines.has(name);
  }

  /** Waits for a turn. `turnMs`: until the count lets it through, if it is the first. */
  wait(name: string, what: WaitFor, turnMs: number): Turn | Promise<Turn> {
    if (this.#closed) return { kind: 'gone' };
    const line = this.#lines.get(name);
    if (line === undefined) {
      const made = new Line(this.clock, () => {
        if (this.#lines.get(name) === made) this.#lines.delete(name);
      });
      const turn = made.wait(what, turnMs);
      // Who is refused at once leaves no line behind.
      if (made.length > 0) this.#lines.set(name, made);
      return turn;
    }
    return line.wait(what, turnMs);
  }

  /** Something was given back to the count: the first may have its turn now. */
  wake(name: string): void {
    this.#lines.get(name)?.wake();
  }

  close(): void {
    this.#closed = true;
    for (const line of this.#lines.values()) line.close();
    this.#lines.clear();
  }
}
