/** How long a response may be under way: as long as the protocol waits for one at all (gRFC A57). In milliseconds. */
const UNDER_WAY_MS = 15_000;

/**
 * Names that left a subscription and came back while a response could be under way that was sent in between, or before: that it does not have
 * them says nothing of what the server has for them now.
 */
export class Doubts {
  /** When the server was last told of the names that have left, oldest first. Of the last `UNDER_WAY_MS`. */
  readonly #left = new Map<string, number>();
  /** Until when names are in doubt. */
  readonly #until = new Map<string, number>();

  constructor(private readonly now: () => number) {}

  /** The server is told that the name is not wanted any more. */
  left(name: string): void {
    const now = this.now();
    this.#until.delete(name);
    this.#left.delete(name);
    this.#left.set(name, now);
    for (const [other, at] of this.#left) {
      if (at + UNDER_WAY_MS > now) break;
      this.#left.delete(other);
    }
  }

  /** It is wanted, perhaps again. */
  came(name: string): void {
    const left = this.#left.get(name);
    if (left !== undefined && left + UNDER_WAY_MS > this.now()) this.raise(name);
  }

  raise(name: string): void {
    this.#until.set(name, this.now() + UNDER_WAY_MS);
  }

  forget(name: string): void {
    this.#until.delete(name);
  }

  /** `Subscription.doubtfulUntil`. */
  until(name: string): number | undefined {
    const until = this.#until.get(name);
    if (until === undefined || until > this.now()) return until;
    this.#until.delete(name);
    return undefined;
  }

  /** A new stream: nothing of the one before can come. */
  clear(): void {
    this.#left.clear();
    this.#until.clear();
  }
}
