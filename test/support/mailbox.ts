/** A queue whose reader waits. */
export class Mailbox<T> {
  readonly #items: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  /** Items that nobody has taken. */
  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    const reader = this.#waiting.shift();
    if (reader === undefined) this.#items.push(item);
    else reader(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    return item === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(item);
  }
}
