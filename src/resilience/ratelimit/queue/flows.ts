/** One that waits. */
export interface Queued {
  /** Who sent it: those of one sender are served in order, the senders in turn. */
  readonly flow: string;
  readonly cost: number;
}

/**
 * A line in which each sender has its turn after the other, so that one who sends much delays its own requests and nobody else's (fair queueing; Nagle,
 * RFC 970). When it is full, the sender with the most waiting loses its last.
 */
export class Flows<T extends Queued> {
  /** In the order of their turns. None is empty. */
  readonly #flows = new Map<string, T[]>();
  #length = 0;
  #cost = 0;

  get length(): number {
    return this.#length;
  }

  /** Whose turn it is. */
  get first(): T | undefined {
    for (const flow of this.#flows.values()) return flow[0];
    return undefined;
  }

  /** What will have been counted before one of `flow` that came now has its turn: of each sender as many as this one has waiting, and one more of it itself. */
  ahead(flow: string): number {
    const own = this.#flows.get(flow)?.length ?? 0;
    if (this.#flows.size === (own === 0 ? 0 : 1)) return this.#cost;
    let cost = 0;
    for (const [name, others] of this.#flows) {
      const counted = name === flow ? own : Math.min(others.length, own + 1);
      for (let i = 0; i < counted; i++) cost += (others[i] as T).cost;
    }
    return cost;
  }

  add(one: T): void {
    const flow = this.#flows.get(one.flow);
    if (flow === undefined) this.#flows.set(one.flow, [one]);
    else flow.push(one);
    this.#length++;
    this.#cost += one.cost;
  }

  /** Takes one out, wherever it is. Whether it was there. */
  remove(one: T): boolean {
    const flow = this.#flows.get(one.flow);
    const at = flow?.indexOf(one) ?? -1;
    if (flow === undefined || at < 0) return false;
    flow.splice(at, 1);
    if (flow.length === 0) this.#flows.delete(one.flow);
    this.#length--;
    this.#cost -= one.cost;
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
    let longest: T[] = [];
    for (const waiting of this.#flows.values()) if (waiting.length > longest.length) longest = waiting;
    const own = this.#flows.get(flow)?.length ?? 0;
    const last = longest.at(-1);
    if (last === undefined || longest.length <= own + 1) return undefined;
    this.remove(last);
    return last;
  }

  /** All of them, taken out. */
  drain(): T[] {
    const all = [...this.#flows.values()].flat();
    this.#flows.clear();
    this.#length = 0;
    this.#cost = 0;
    return all;
  }
}
