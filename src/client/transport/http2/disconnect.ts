/** The moment from which a connection takes no new streams, or is lost, for those who may have no stream on it. */
export class Disconnect {
  readonly #listeners = new Set<() => void>();
  #told = false;

  /** Runs once, never within this call: soon when the moment has passed. The result takes it back. */
  on(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.#told) queueMicrotask(() => this.tell());
    return () => void this.#listeners.delete(listener);
  }

  /** It has come. */
  tell(): void {
    this.#told = true;
    for (const listener of this.#listeners) {
      this.#listeners.delete(listener);
      listener();
    }
  }
}
