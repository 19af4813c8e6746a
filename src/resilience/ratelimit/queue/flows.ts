/** One that waits. */
export interface Queued {
  /** Who sent it: those of one sender are served in order, the senders in turn. */
  readonly flow: string;
  readonly cost: number;
}

/**
 * A line in which each sender has its turn after the other, so that one who sends much delays its own requests and nobody else's (fair queueing; Nagle,
 * RFC 970). When it is full, the sender with the most waiting loses its last. However many senders there are, one more costs the same.
 */
export class Flows<T extends Queued> {
  /** In the order of their turns. None is empty. */
  readonly #flows = new Map<string, T[]>();
  /** By place: what those in that place of their sender's count together. */
  readonly #costs: number[] = [];
  /** By place: senders whose last is there. */
  readonly #ending: Set<string>[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Whose turn it is. */
  get first(): T | undefined {
    for (const flow of this.#flows.values()) return flow[0];
    return undefined;
  }

  /** The first `most`, in the order of their turns. */
  next(most: number): T[] {
    const found: T[] = [];
    for (let place = 0; place < this.#costs.length; place++) {
      for (const flow of this.#flows.values()) {
        if (found.length >= most) return found;
        const one = flow[place];
        if (one !== undefined) found.push(one);
      }
    }
    return found;
  }

  /** What will have been counted before one of `flow` that came now has its turn: of each sender as many as this one has waiting, and one more of others. */
  ahead(flow: string): number {
    const own = this.#flows.get(flow)?.length ?? 0;
    let cost = 0;
    for (let place = 0; place <= own && place < this.#costs.length; place++) cost += this.#costs[place] as number;
    return cost;
  }

  add(one: T): void {
    let flow = this.#flows.get(one.flow);
    if (flow === undefined) {
      flow = [];
      this.#flows.set(one.flow, flow);
    }
    const place = flow.push(one) - 1;
    this.#costs[place] = (this.#costs[place] ?? 0) + one.cost;
    this.#ends(one.flow, place, place - 1);
    this.#length++;
  }

  /** Takes one out, wherever it is. Whether it was there. */
  remove(one: T): boolean {
    const flow = this.#flows.get(one.flow);
    const at = flow?.indexOf(one) ?? -1;
    if (flow === undefined || at < 0) return false;
    // Those behind it move up.
    for (let place = at; place < flow.length; place++) {
      const next = flow[place + 1]?.cost ?? 0;
      this.#costs[place] = (this.#costs[place] as number) + next - (flow[place] as T).cost;
    }
    flow.splice(at, 1);
    this.#ends(one.flow, flow.length - 1, flow.length);
    if (flow.length === 0) this.#flows.delete(one.flow);
    this.#length--;
    return true;
  }

  /** Takes out the first, and lets the next sender have its turn. */
  shift(): T | undefined {
    const { first } = this;
    if (first === undefined) return undefined;
    this.remove(first);
    const rest = this.#flows.get(first.flow);
    if (rest !== undefined && this.#flows.size > 1) {
      this.#flows.delete(first.flow);
      this.#flows.set(first.flow, rest);
    }
    return first;
  }

  /** Makes room for one of `flow`: the last of whoever has most waiting, if that is more than this sender would have. Undefined: there is no room for it. */
  displaceFor(flow: string): T | undefined {
    const own = this.#flows.get(flow)?.length ?? 0;
    const [longest] = this.#ending.at(-1) ?? [];
    if (longest === undefined || this.#ending.length <= own + 1) return undefined;
    const last = this.#flows.get(longest)?.at(-1) as T;
    this.remove(last);
    return last;
  }

  /** All of them, taken out. */
  drain(): T[] {
    const all = [...this.#flows.values()].flat();
    this.#flows.clear();
    this.#costs.length = 0;
    this.#ending.length = 0;
    this.#length = 0;
    return all;
  }

  /** The last of a sender is in another place now; in none: -1. */
  #ends(flow: string, place: number, before: number): void {
    this.#ending[before]?.delete(flow);
    if (place >= 0) {
      this.#ending[place] ??= new Set();
      this.#ending[place].add(flow);
    }
    while (this.#ending.at(-1)?.size === 0) {
      this.#ending.pop();
      this.#costs.length = this.#ending.length;
    }
  }
}
