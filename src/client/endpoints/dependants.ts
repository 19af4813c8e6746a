/** An aggregate that a cluster is a leaf of. */
export interface Dependant {
  /** Calls of its own are under way or wait: they may come to the leaf. */
  readonly busy: boolean;
  /** No more calls will come to it. */
  readonly released: boolean;
  /** Whether the calls that come to the leaf of that name through it can be served by others. */
  standsInFor(leaf: string): boolean;
  /** Calls that could not be sent may be now. */
  news(): void;
}

/** The aggregates that one cluster is a leaf of, or was while calls of theirs may still come. */
export class Dependants {
  readonly #all = new Set<Dependant>();

  add(dependant: Dependant): void {
    for (const other of this.#all) if (other.released && !other.busy) this.#all.delete(other);
    this.#all.add(dependant);
  }

  get busy(): boolean {
    for (const dependant of this.#all) if (dependant.busy) return true;
    return false;
  }

  standInFor(leaf: string): boolean {
    for (const dependant of this.#all) if (dependant.standsInFor(leaf)) return true;
    return false;
  }

  news(): void {
    for (const dependant of this.#all) dependant.news();
  }
}
