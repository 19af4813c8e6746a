import type { SnapshotResource } from '../snapshot/snapshot.js';

/** Clusters that a client was sent for the first time, or anew, and not their endpoints yet; for `warmingMs` at most. */
export class Warming {
  /** By cluster: its endpoint set. */
  readonly #clusters = new Map<string, string>();
  /** Set when something first waits; monotonic milliseconds. */
  #until: number | undefined;

  constructor(private readonly warmingMs: number) {}

  /** A cluster was sent that needs these endpoints, or none that are waited for, or was removed. */
  sent(cluster: string, endpoints: string | undefined): void {
    if (endpoints === undefined) this.#clusters.delete(cluster);
    else this.#clusters.set(cluster, endpoints);
  }

  /** These endpoints were sent. */
  warmed(endpoints: readonly SnapshotResource[]): void {
    if (this.#clusters.size === 0) return;
    const names = new Set(endpoints.map(({ name }) => name));
    for (const [cluster, needed] of this.#clusters) if (names.has(needed)) this.#clusters.delete(cluster);
  }

  /** When whoever needs the clusters ready waits no longer; undefined when nothing is waited for, of what `matters`. */
  waitsUntil(now: number, matters: (endpoints: string) => boolean): number | undefined {
    if (![...this.#clusters.values()].some(matters)) this.#until = undefined;
    else {
      this.#until ??= now + this.warmingMs;
      if (now < this.#until) return this.#until;
      this.#clusters.clear();
      this.#until = undefined;
    }
    return undefined;
  }
}
