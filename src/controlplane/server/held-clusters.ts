import { type SnapshotResource, type TypeSnapshot, versionOf } from '../snapshot/snapshot.js';

interface Held {
  readonly resource: SnapshotResource;
  /** Monotonic milliseconds after which the client no longer gets it; undefined while the new routes are still on their way. */
  until: number | undefined;
}

/**
 * Clusters that the configuration no longer has and one client may still route to. They stay in what that client is served until it
 * has the new routes ("Stale CDS clusters and related EDS endpoints (ones no longer being referenced) can then be removed" -
 * xds_protocol, make before break). One per stream.
 */
export class HeldClusters {
  readonly #held = new Map<string, Held>();
  #sent: readonly SnapshotResource[] = [];

  get size(): number {
    return this.#held.size;
  }

  /** What the client has now: a response was written with these. */
  sent(resources: readonly SnapshotResource[]): void {
    this.#sent = resources;
  }

  /** Keeps what the client has and `next` lacks, as the client has it; what came back is no longer held. */
  keep(next: TypeSnapshot): void {
    for (const name of this.#held.keys()) if (next.resources.has(name)) this.#held.delete(name);
    for (const resource of this.#sent) {
      const { name } = resource;
      if (!next.resources.has(name) && !this.#held.has(name)) this.#held.set(name, { resource, until: undefined });
    }
  }

  /** What the client is to be served: `target` and everything that is held, under a version of its own. */
  over(target: TypeSnapshot): TypeSnapshot {
    if (this.#held.size === 0) return target;
    const held = [...this.#held.values()].map(({ resource }) => resource).sort((a, b) => (a.name < b.name ? -1 : 1));
    const resources = new Map(target.resources);
    for (const resource of held) resources.set(resource.name, resource);
    const version = versionOf([target.version, ...held.flatMap(({ name, version }) => [name, version])]);
    return { version, resources };
  }

  /** Drops what `stillNeeded` no longer claims. */
  release(stillNeeded: (name: string) => boolean): void {
    for (const name of this.#held.keys()) if (!stillNeeded(name)) this.#held.delete(name);
  }

  /** All new routes have been sent: from now on nothing is kept for longer than `holdMs`. */
  startBound(now: number, holdMs: number): void {
    for (const held of this.#held.values()) held.until ??= now + holdMs;
  }

  dropExpired(now: number): void {
    for (const [name, { until }] of this.#held) if (until !== undefined && until <= now) this.#held.delete(name);
  }

  /** When the next one expires; undefined when none will. */
  nextExpiry(): number | undefined {
    let next: number | undefined;
    for (const { until } of this.#held.values())
      if (until !== undefined && (next === undefined || until < next)) next = until;
    return next;
  }
}
